"""Whatever a file holds, parsing ends in a value or in ConfigErrors; nothing else escapes."""

import string
from collections.abc import Mapping
from datetime import date, time
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.config.binary import RULES
from scratchtasks.config.fields import Field
from scratchtasks.config.genrule import GENRULE, genrule_from_table
from scratchtasks.config.image import DIRS, HEALTHCHECK
from scratchtasks.config.lockfile import PIN, parse_lockfile
from scratchtasks.config.quantities import parse_duration, parse_size
from scratchtasks.config.service import TABLES, parse_service, service_from_tables
from scratchtasks.config.source import FILES
from scratchtasks.config.spot import quoted
from scratchtasks.config.workspace import WorkspaceDefaults, parse_workspace
from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.platform import Platform

HOST = Platform("linux", "amd64")

KEYS = sorted(
    {field.key for fields in TABLES.values() for field in fields}
    | {field.key for fields in (FILES, DIRS, HEALTHCHECK, PIN, GENRULE) for field in fields}
)
WORDS = [
    "app:1001", "root", "65534", "/", "/srv", "//a:b", "..", "./x", "8080/tcp", "0644", "30s",
    "20MiB", "latest", "{git.sha}", "[[", "(?i)x", "linux/amd64", "certs", "SIGTERM", "10.0.0.1",
    *RULES,
]  # fmt: skip

texts = st.sampled_from(WORDS) | st.text(max_size=12)
leaves = (
    texts
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.dates()
    | st.times()
    | st.integers(10**18, 10**40)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), inner, max_size=6)
    ),
    max_leaves=25,
)


def table_of(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([field.key for field in fields]), values, max_size=8)


tables = st.fixed_dictionaries(
    {},
    optional={"name": values}
    | {name: table_of(fields) | values for name, fields in TABLES.items() if name}
    | {"strange": values},
)


def assert_printable(faults: tuple[ConfigError, ...]) -> None:
    assert faults
    for fault in faults:
        assert fault.where.startswith("f")
        for line in str(fault).split("\n    hint: "):
            assert line.isprintable()
            assert len(line) < 4000


@given(tables, st.sampled_from(["services/api", "", "a b/é", "../x"]) | st.text(max_size=6))
def test_tables_become_a_service_or_config_errors(table: dict[str, Any], folder: str) -> None:
    faults: tuple[ConfigError, ...] = ()
    try:
        service = service_from_tables(
            table, origin="f", folder=folder, defaults=WorkspaceDefaults(), host=HOST
        )
    except ConfigErrors as error:
        faults = error.errors
        assert_printable(faults)
    assert faults or (service.name and (service.image.entrypoint or service.image.cmd))


@given(table_of(GENRULE))
def test_genrules_are_made_or_refused(table: Mapping[str, Any]) -> None:
    try:
        rule = genrule_from_table(table, "f")
    except ConfigErrors as error:
        assert_printable(error.errors)
        return
    assert rule.cmd
    assert rule.outs
    assert not any(part in ("", ".", "..") for out in rule.outs for part in out.split("/"))


lines = st.builds(
    "{} = {}".format,
    st.sampled_from(KEYS),
    leaves.map(lambda v: quoted(v) if isinstance(v, str) else str(v)[:30]),
)
documents = st.text(max_size=60) | st.lists(
    lines | st.sampled_from([f"[{name}]" for name in (*TABLES, "pins.a", "refresh", "cache")]),
    max_size=8,
).map("\n".join)


@given(documents)
def test_any_text_is_read_or_refused_as_any_file(text: str) -> None:
    for parse in (
        lambda: parse_service(
            text, origin="f", folder="x", defaults=WorkspaceDefaults(), host=HOST
        ),
        lambda: parse_workspace(text, "f"),
        lambda: parse_workspace(text, "f", ("tool", "scratchtasks")),
        lambda: parse_lockfile(text, "f"),
    ):
        try:
            parse()
        except ConfigErrors as error:
            assert_printable(error.errors)


@given(st.text())
def test_quoted_text_is_toml_and_one_printable_line(text: str) -> None:
    line = quoted(text, longest=len(text))
    assert line.isprintable()
    assert tomli.loads(f"x = {line}") == {"x": text}


@given(st.integers(1, 10**6 - 1), st.sampled_from(["h", "m", "s", "ms"]))
def test_durations_scale_with_their_unit(number: int, unit: str) -> None:
    scale = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6}[unit]
    assert parse_duration(f"{number}{unit}") == number * scale


@given(st.text(alphabet=string.digits + "٣KMGTiBkhms .-", max_size=8))
@settings(max_examples=300)
def test_numbers_are_ascii_digits_with_a_unit(text: str) -> None:
    for parse in (parse_size, parse_duration):
        number = parse(text)
        assert number is None or (number > 0 and text[0] in string.digits and text.isascii())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (date(2026, 1, 2), "a date"),
        (time(1, 2), "a time"),
        pytest.param(10**5000, "a very large integer", id="huge"),
        (-(10**20), "a very large integer"),
        (1.5, "the float 1.5"),
        (None, "a NoneType"),
        ("x" * 99, f'the string "{"x" * 60}…"'),
        ("\x1b[1m\u202e", 'the string "\\u001B[1m\\u202E"'),
    ],
)
def test_refused_values_are_named_by_type_and_safe_to_print(value: object, shown: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        service_from_tables(
            {"push": value}, origin="f", folder="a", defaults=WorkspaceDefaults(), host=HOST
        )
    assert str(caught.value.errors[0]) == f"f: push: wanted a table, got {shown}"
