"""The reference is printed from the parser's tables: every key is in it, every error is real."""

import pytest

from scratchtasks.config.binary import EVERY_BINARY, RULES
from scratchtasks.config.fields import Field
from scratchtasks.config.genrule import GENRULE
from scratchtasks.config.image import DIRS, HEALTHCHECK
from scratchtasks.config.lockfile import PIN
from scratchtasks.config.reference import example_error, reference_markdown
from scratchtasks.config.refresh import REFRESH
from scratchtasks.config.service import TABLES
from scratchtasks.config.source import DEBIAN, FILES, IMAGE_FILES, ROOTS_IMAGE, SOURCES, ZONES_IMAGE
from scratchtasks.config.workspace import CACHE, LOAD, WORKSPACE, WORKSPACE_PUSH

EVERY_TABLE = (
    *TABLES.values(),
    *(rule.fields for rule in RULES.values()),
    EVERY_BINARY,
    HEALTHCHECK,
    FILES,
    IMAGE_FILES,
    ROOTS_IMAGE,
    ZONES_IMAGE,
    DEBIAN,
    SOURCES,
    DIRS,
    WORKSPACE,
    REFRESH,
    CACHE,
    LOAD,
    WORKSPACE_PUSH,
    PIN,
    GENRULE,
)
EVERY_FIELD = list({id(field): field for fields in EVERY_TABLE for field in fields}.values())


@pytest.mark.parametrize("field", EVERY_FIELD, ids=[field.key for field in EVERY_FIELD])
def test_every_key_stands_in_the_reference_with_an_error_it_can_cause(field: Field) -> None:
    text = reference_markdown()
    rows = [line for line in text.splitlines() if line.startswith(f"| `{field.key}` |")]
    assert any(field.meaning in row for row in rows)
    assert field.required or field.default
    error = example_error(field, "f", "t")
    assert error.startswith(f"f: t.{field.key}")
    assert error.removeprefix("f: t.") in text


def test_every_rule_and_table_has_its_heading() -> None:
    text = reference_markdown()
    headings = [line for line in text.splitlines() if line.startswith("### ")]
    for name in TABLES:
        assert not name or any(f"`[{name}]`" in heading for heading in headings)
    for rule in RULES:
        assert f'### `[binary]` with `rule = "{rule}"`' in headings
    of_workspace = text.partition("## scratch.toml")[2].partition("## scratch.lock")[0]
    for field in WORKSPACE:
        assert f"### `[{field.key}]`\n" in of_workspace
    # Of scratch.toml too: the top level, [image], [push], [certs] and [zoneinfo].
    assert len(headings) == len(set(headings)) + 5


def test_the_reference_is_the_same_each_time() -> None:
    assert reference_markdown() == reference_markdown()
