"""Hints."""

from scratchtasks.core.errors import ConfigError, ConfigErrors, count_of, did_you_mean


def test_a_table_is_listed_in_full_and_a_large_workspace_is_not() -> None:
    names = [f"s{number:03}" for number in range(300)]
    assert did_you_mean("s0001", names) == "did you mean 's001'?"
    assert did_you_mean("x", names[:2]) == "known: s000, s001"
    assert did_you_mean("x", names[:20]) == "known: " + ", ".join(names[:20])
    assert did_you_mean("x", names) == "known: " + ", ".join(names[:10]) + " and 290 more"
    assert did_you_mean("x", []) == ""


def test_no_name_in_an_error_steers_the_terminal() -> None:
    fault = ConfigError("services/\x1b[2Ja/service.toml", "not\u202e TOML\x9b", "see\x07 é\n\tb")
    text = "services/?[2Ja/service.toml: not? TOML?\n    hint: see? é\n\tb"
    assert str(fault) == text
    assert str(ConfigErrors((fault, fault))) == f"{text}\n{text}"


def test_counts() -> None:
    assert [count_of(n, "blob") for n in (0, 1, 2)] == ["0 blobs", "1 blob", "2 blobs"]
    assert [count_of(n, "push", "pushes") for n in (1, 2)] == ["1 push", "2 pushes"]
