"""Which release a pin moves to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.config.workspace import parse_workspace
from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.target import Pin
from scratchtasks.refresh.index import Release
from scratchtasks.refresh.policy import Policy, allows, choose, policy_of

DAY = 86400
NOW = 1000 * DAY


def release(version: str, age: int | None = 100, yanked: str = "", sha256: str = "") -> Release:
    return Release(
        version=version,
        filename=f"certifi-{version}-py3-none-any.whl",
        sha256=sha256 or f"{int(version.replace('.', '').rstrip('abrcpost'), 36):064x}"[-64:],
        size=10,
        uploaded=None if age is None else NOW - age * DAY,
        yanked=yanked,
    )


def pin(version: str) -> Pin:
    return Pin(name="certifi", version=version, sha256=release(version).sha256, size=10)


def chosen(
    have: str, releases: list[Release], rule: str = "latest", cooldown: int = 0
) -> tuple[str, str]:
    policy = Policy(rules={"certifi": rule}, cooldown_days=cooldown)
    choice = choose(pin(have), releases, policy, NOW)
    return (choice.release.version if choice.release else "", choice.why)


MANY = [release(version) for version in ("2024.2.2", "2025.1.31", "2026.1.4", "2026.10.18")]
NEWEST = "the newest release"


@pytest.mark.parametrize(
    ("have", "rule", "move", "why"),
    [
        ("2024.2.2", "latest", "2026.10.18", NEWEST),
        ("2026.10.18", "latest", "", ""),
        ("2024.2.2", "pinned", "", ""),
        ("2024.2.2", ">=2025", "2026.10.18", "the newest that '>=2025' allows"),
        ("2024.2.2", "2025.*", "2025.1.31", "the newest that '2025.*' allows"),
        ("2024.2.2", "<2026, >=2025", "2025.1.31", "the newest that '<2026, >=2025' allows"),
        ("2024.2.2", "!=2026.10.18, 2026.*", "2026.1.4",
         "the newest that '!=2026.10.18, 2026.*' allows"),
        ("2024.2.2", "~=2026.1.1", "2026.1.4", "the newest that '~=2026.1.1' allows"),
        ("2024.2.2", "2024.2.2", "", ""),
        ("2024.2.2", "2026.1.4", "2026.1.4", "the newest that '2026.1.4' allows"),
        ("2026.10.18", "2026.1.4", "2026.1.4", "'2026.1.4' does not allow 2026.10.18"),
        ("2027.1", "latest", "", ""),
    ],
)  # fmt: skip
def test_policies(have: str, rule: str, move: str, why: str) -> None:
    assert chosen(have, MANY, rule) == (move, why)


def test_the_order_of_the_index_means_nothing() -> None:
    assert chosen("2024.2.2", list(reversed(MANY))) == ("2026.10.18", NEWEST)


def test_pre_releases_are_taken_only_when_named() -> None:
    some = [*MANY, release("2027.1a1"), release("2027.1rc1")]
    assert chosen("2026.10.18", some) == ("", "")
    assert chosen("2026.10.18", some, ">=2027.1a1")[0] == "2027.1rc1"


def test_post_releases_are_newer() -> None:
    assert chosen("2026.10.18", [*MANY, release("2026.10.18.post1")])[0] == "2026.10.18.post1"


def test_yanked_releases_are_skipped() -> None:
    some = [*MANY, release("2026.11.1", yanked="broken")]
    assert chosen("2025.1.31", some) == ("2026.10.18", NEWEST)


def test_a_pin_that_was_yanked_moves_even_down() -> None:
    some = [*MANY[:3], replace(MANY[3], yanked="roots missing")]
    why = "2026.10.18 was withdrawn (roots missing)"
    assert chosen("2026.10.18", some) == ("2026.1.4", why)


def test_a_pin_that_was_yanked_is_told_of_while_its_successor_waits() -> None:
    some = [release("2026.1.4", 3, yanked="roots missing"), release("2026.2", 2)]
    why = "certifi 2026.1.4 was withdrawn (roots missing); 2026.2 is 2 days old and waits until day"
    assert chosen("2026.1.4", some, cooldown=5) == ("", f"{why} 5")


def test_a_pin_that_was_yanked_and_has_no_successor() -> None:
    with pytest.raises(ConfigError) as caught:
        chosen("2026.1.4", [release("2026.1.4", yanked="x")], "2026.*")
    assert str(caught.value) == (
        "refresh.certifi: no release of certifi satisfies '2026.*'\n"
        "    hint: all that would do were withdrawn"
    )


@pytest.mark.parametrize(
    ("releases", "hint"), [(MANY, "the index has 4 files of it"), ([], "the index has none")]
)
def test_nothing_satisfies(releases: list[Release], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen("2026.1.4", releases, ">=2030")
    assert str(caught.value) == (
        f"refresh.certifi: no release of certifi satisfies '>=2030'\n    hint: {hint}"
    )


@pytest.mark.parametrize(
    ("cooldown", "move", "why"),
    [
        (0, "2026.3", NEWEST),
        (2, "2026.3", NEWEST),
        (3, "2026.2", f"{NEWEST}; 2026.3 is 2 days old and waits until day 3"),
        (10, "", "certifi 2026.3 is 2 days old and waits until day 10"),
    ],
)
def test_cooldown(cooldown: int, move: str, why: str) -> None:
    some = [release("2026.1", 50), release("2026.2", 9), release("2026.3", 2)]
    assert chosen("2026.1", some, cooldown=cooldown) == (move, why)


def test_a_release_of_the_future_waits_for_its_day() -> None:
    some = [release("2026.1", 50), release("2026.2", -1)]
    assert chosen("2026.1", some, cooldown=1) == (
        "",
        "certifi 2026.2 is 0 days old and waits until day 1",
    )


def test_a_cooldown_needs_upload_times() -> None:
    some = [release("2026.1", 50), release("2026.2", None)]
    assert chosen("2026.1", some)[0] == "2026.2"
    with pytest.raises(ConfigError) as caught:
        chosen("2026.1", some, cooldown=1)
    assert str(caught.value) == (
        "refresh.cooldown_days: the index does not say when certifi-2026.2-py3-none-any.whl was "
        "uploaded\n    hint: use an index that does (PEP 700), or set cooldown_days = 0"
    )


def test_a_lock_edited_by_hand_is_noticed() -> None:
    edited = Pin(
        name="certifi", version="2026.1.4", sha256="0" * 64, size=10, filename=MANY[2].filename
    )
    with pytest.raises(ConfigError) as caught:
        choose(edited, MANY, Policy(), NOW)
    assert str(caught.value) == (
        f"certifi 2026.1.4: digest mismatch: scratch.lock says sha256:{'0' * 64}, "
        f"the index says sha256:{MANY[2].sha256}\n    hint: was scratch.lock edited by hand?"
    )


def test_a_version_that_is_none() -> None:
    with pytest.raises(ConfigError) as caught:
        choose(Pin(name="certifi", version="new", sha256="0" * 64, size=1), MANY, Policy(), NOW)
    assert str(caught.value) == (
        "scratch.lock: pins.certifi.version: wanted a version (PEP 440), got 'new'"
    )


def test_wheels_for_one_platform_and_odd_versions_do_not_count() -> None:
    native = replace(release("2027.1"), filename="certifi-2027.1-cp312-cp312-linux_x86_64.whl")
    odd = replace(release("2027.2"), version="2004b")
    assert chosen("2026.10.18", [*MANY, native, odd]) == ("", "")


def test_the_table_becomes_a_policy() -> None:
    assert policy_of({"certifi": "2026.*", "cooldown_days": 3, "warn_days": 7}) == Policy(
        rules={"certifi": "2026.*"}, cooldown_days=3, warn_days=7
    )
    assert policy_of({}) == Policy(rules={}, cooldown_days=0, warn_days=30)
    assert Policy().rule("certifi") == "latest"


_words = st.text("0123456789.*<>=!~, abrcpostdev+-", max_size=14)
_clauses = st.from_regex(r" ?(>=|==|~=|!=)? ?[0-9]+(\.[0-9]+){0,3}(\.\*)?", fullmatch=True)


@given(
    st.one_of(
        _words,
        st.lists(_clauses, min_size=1, max_size=3).map(",".join),
    )
)
def test_what_the_config_lets_through_is_a_specifier(text: str) -> None:
    try:
        rule = parse_workspace(f'[refresh]\ntzdata = "{text}"', "scratch.toml").refresh["tzdata"]
    except ConfigErrors:
        return
    assert isinstance(rule, str)
    assert rule not in ("latest", "pinned")
    allows(rule, "2026.1")
