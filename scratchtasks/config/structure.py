"""container-structure-test's YAML, schema 2.0.0: its field tables, and how they become tests.

Where its own program reads a file and then fails every test for it (a pattern that does not
compile, a test without a name), this refuses the file.
Source: container-structure-test 1.19, README and pkg/types/v2.
"""

from typing import Any, TypeVar

from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.go_regex import compile_go
from scratchtasks.core.structure import (
    CommandTest,
    ContentTest,
    ExistenceTest,
    Expected,
    MetadataTest,
    StructureTest,
)

from .fields import BOOLEAN, TEXT, Check, Field, array, integer, one_of, record, values_or_raise
from .spot import Spot
from .yaml_document import Written, parse_yaml, unwritten

T = TypeVar("T")

_PERMISSIONS = "dalTLDpSugct?"


def parse_structure(text: str, origin: str) -> StructureTest:
    """The tests that the YAML (or JSON) *text* asks for; *origin* is its file, for messages.

    Raises: ConfigErrors with every fault of the file.
    """
    spot = Spot(origin)
    try:
        good = dict(values_or_raise(parse_yaml(text, origin), spot, STRUCTURE))
    except ConfigErrors as error:
        spot.keep(error)
        spot.raise_if_faulty()
        raise
    good.pop("schema")
    good.pop("options", None)
    good.pop("licenses", None)
    made = StructureTest(origin=origin, **good)
    has_metadata = made.metadata not in (None, MetadataTest())
    if not (made.commands or made.existence or made.contents or has_metadata):
        spot.keep(spot.fault("there is no test in it", "see commandTests, fileExistenceTests"))
    spot.raise_if_faulty()
    return made


def _plain(of: Check[T]) -> Check[T]:
    """*of* for a value of which only the value counts."""
    return Check(of.wants, lambda value, spot: of.read(unwritten(value), spot), of.many)


def _list(of: Check[T], *, is_full: bool = False) -> Check[tuple[T, ...]]:
    return _plain(array(of, is_full=is_full))


def _written(value: object, spot: Spot) -> str:
    if isinstance(value, Written):  # `args: [8080, ~]`, as Go's YAML reads it
        return "" if value.value is None else value.text
    return TEXT.read(value, spot)


def _full(value: object, spot: Spot) -> str:
    text = _written(value, spot)
    if not text:
        raise spot.wanted("a string that is not empty", text)
    return text


def _regex(value: object, spot: Spot) -> str:
    text = _written(value, spot)
    try:
        compile_go(text)
    except ValueError as error:
        raise spot.fault(f"not a regular expression of Go's: {error}") from None
    return text


def _permissions(value: object, spot: Spot) -> str:
    text = _written(value, spot)
    kinds, bits = text[:-9], text[-9:]
    is_known = all(bit in (letter, "-") for bit, letter in zip(bits, "rwxrwxrwx", strict=False))
    if not kinds or not is_known or not (kinds == "-" or set(kinds) <= set(_PERMISSIONS)):
        raise spot.wanted(PERMISSIONS.wants, text, "as Go shows it: dtrwxrwxrwx is 1777")
    return text


def _version(value: object, spot: Spot) -> str:
    if value != "2.0.0":
        raise spot.wanted('"2.0.0"', unwritten(value))
    return "2.0.0"


def _unsupported(wants: str, why: str) -> Check[object]:
    def read(value: object, spot: Spot) -> object:
        if unwritten(value):
            raise spot.fault(f"is not supported: {why}")
        return ()

    return Check(wants, read)


STRING = Check("a string", _written, "strings")
FULL = Check("a string that is not empty", _full, "strings that are not empty")
PATTERN = Check("a regular expression of Go's", _regex, "regular expressions of Go's")
PERMISSIONS = Check('permissions such as "-rwxr-xr-x"', _permissions)
_TRUTH, _ID = _plain(BOOLEAN), _plain(integer(-1, 2**31 - 1))
_WHO = _plain(one_of("group of users", ("any", "owner", "group", "other")))

VARIABLE = (
    Field(key="key", check=FULL, required=True, wrong="", meaning="the variable's name"),
    Field(key="value", check=FULL, required=True, wrong="", meaning="its value"),
    Field(key="isRegex", check=_TRUTH, wrong=1, default="false", meaning="has no meaning here"),
)

EXPECTED = (
    Field(key="key", check=FULL, required=True, wrong="", meaning="the name"),
    Field(key="value", check=STRING, default='""', wrong=[], meaning="its value, or a pattern"),
    Field(key="isRegex", check=_TRUTH, default="false", wrong="yes", attribute="is_regex",
          meaning="whether the value is a pattern to be found"),
)  # fmt: skip


def _variable(key: str, value: str, **_: object) -> tuple[str, str]:
    return key, value


def _expected(value: object, spot: Spot) -> Expected:
    made = _EXPECTED.read(value, spot)
    if made.is_regex:
        PATTERN.read(made.value, spot.key("value"))
    return made


_EXPECTED = record(EXPECTED, Expected)
_VARIABLES = _list(record(VARIABLE, _variable, "a table with key and value"))
_PAIRS = _list(Check("a table with key, value and isRegex", _expected, "tables"))
_STEPS = _list(_list(STRING, is_full=True))

COMMAND_TEST = (
    Field(key="name", check=FULL, required=True, wrong="", meaning="for messages"),
    Field(key="setup", check=_STEPS, default="[]", wrong=[[]],
          meaning="commands to run before, each a list; what they write is there, in Docker"
          " except in volumes"),
    Field(key="teardown", check=_STEPS, default="[]", wrong="rm",
          meaning="not run: each test has a root file system of its own"),
    Field(key="envVars", check=_VARIABLES, default="[]", wrong={"A": "1"}, attribute="env",
          meaning="variables set for it"),
    Field(key="exitCode", check=_plain(integer(0, 255)), default="0", wrong="0",
          attribute="exit_code", meaning="the exit code to end with"),
    Field(key="command", check=FULL, required=True, wrong="",
          meaning="the program; `$NAME` is a variable of the image's"),
    Field(key="args", check=_list(STRING), default="[]", wrong="--version",
          meaning="its arguments; `$NAME` as above"),
    Field(key="expectedOutput", check=_list(PATTERN), default="[]", wrong=["("],
          attribute="stdout", meaning="patterns to be found in stdout"),
    Field(key="excludedOutput", check=_list(PATTERN), default="[]", wrong=["*"],
          attribute="not_stdout", meaning="patterns that may not be"),
    Field(key="expectedError", check=_list(PATTERN), default="[]", wrong=["(?=a)"],
          attribute="stderr", meaning="the same for stderr"),
    Field(key="excludedError", check=_list(PATTERN), default="[]", wrong=[[]],
          attribute="not_stderr", meaning="the same for stderr"),
)  # fmt: skip

EXISTENCE_TEST = (
    Field(key="name", check=FULL, required=True, wrong="", meaning="for messages"),
    Field(key="path", check=FULL, required=True, wrong="", meaning="the file; `$NAME` as above"),
    Field(key="shouldExist", check=_TRUTH, default="true", wrong="maybe",
          attribute="should_exist", meaning="whether it is to be there"),
    Field(key="permissions", check=PERMISSIONS, default="any", wrong="0755",
          meaning="as Go shows them"),
    Field(key="uid", check=_ID, default="any", wrong="root", meaning="its owner"),
    Field(key="gid", check=_ID, default="any", wrong="root", meaning="its group"),
    Field(key="isExecutableBy", check=_WHO, default="anybody or nobody", wrong="all",
          attribute="executable_by", meaning="who has to be allowed to run it"),
)  # fmt: skip

CONTENT_TEST = (
    Field(key="name", check=FULL, required=True, wrong="", meaning="for messages"),
    Field(key="path", check=FULL, required=True, wrong="", meaning="the file"),
    Field(key="expectedContents", check=_list(PATTERN), default="[]", wrong="root",
          attribute="contents", meaning="patterns to be found in it"),
    Field(key="excludedContents", check=_list(PATTERN), default="[]", wrong="root",
          attribute="not_contents", meaning="patterns that may not be"),
)  # fmt: skip

METADATA_TEST = (
    Field(key="envVars", check=_PAIRS, default="[]", wrong="A=1", attribute="env",
          meaning="variables that the image has to set"),
    Field(key="unboundEnvVars", check=_PAIRS, default="[]", wrong=["A"], attribute="unset",
          meaning="variables that it may not"),
    Field(key="exposedPorts", check=_list(FULL), default="[]", wrong=8080, attribute="ports",
          meaning="ports, without a protocol"),
    Field(key="unexposedPorts", check=_list(FULL), default="[]", wrong=8080,
          attribute="not_ports", meaning="ports that it may not declare"),
    Field(key="entrypoint", check=_list(STRING), default="any", wrong="/usr/bin/api",
          meaning="exactly this one; [] is none"),
    Field(key="cmd", check=_list(STRING), default="any", wrong="serve", meaning="the same"),
    Field(key="workdir", check=STRING, default="any", wrong=[], meaning="exactly this one"),
    Field(key="volumes", check=_list(FULL), default="[]", wrong="/data", meaning="volumes"),
    Field(key="unmountedVolumes", check=_list(FULL), default="[]", wrong="/data",
          attribute="not_volumes", meaning="volumes that it may not declare"),
    Field(key="labels", check=_PAIRS, default="[]", wrong={"a": "b"}, meaning="labels"),
    Field(key="user", check=STRING, default="any", wrong=[], meaning='such as "1001:1001"'),
)  # fmt: skip


def _metadata(unset: tuple[Expected, ...] = (), **values: Any) -> MetadataTest:
    return MetadataTest(unset=tuple(each.key for each in unset), **values)


def _command(teardown: object = (), **values: Any) -> CommandTest:
    return CommandTest(**values)


STRUCTURE = (
    Field(key="schemaVersion", check=Check('"2.0.0"', _version), required=True, wrong="1.0.0",
          attribute="schema", meaning="of the file"),
    Field(key="globalEnvVars", check=_VARIABLES, default="[]", wrong="A=1", attribute="env",
          meaning="variables set for all commands; `$NAME` is one of the image's"),
    Field(key="commandTests", check=_list(record(COMMAND_TEST, _command)), default="[]",
          wrong={"name": "a"}, attribute="commands", meaning="run in the image"),
    Field(key="fileExistenceTests", check=_list(record(EXISTENCE_TEST, ExistenceTest)),
          default="[]", wrong="/etc", attribute="existence", meaning="files, rights, owners"),
    Field(key="fileContentTests", check=_list(record(CONTENT_TEST, ContentTest)), default="[]",
          wrong="/etc", attribute="contents", meaning="what files hold"),
    Field(key="metadataTest", check=_plain(record(METADATA_TEST, _metadata)), default="none",
          wrong=[], attribute="metadata", meaning="the image's config"),
    Field(key="licenseTests", default="[]", wrong=[{"debian": True}], attribute="licenses",
          check=_unsupported("an empty array", "it reads what Debian's packages leave behind"),
          meaning="not supported"),
    Field(key="containerRunOptions", default="{}", wrong={"privileged": True},
          check=_unsupported("an empty table", "images are tried out as they run in production"),
          attribute="options", meaning="not supported"),
)  # fmt: skip
