"""The `[binary]` table: one field table per rule, told apart by the key `rule`."""

from collections.abc import Callable, Mapping
from typing import Any

from scratchtasks.core.errors import did_you_mean
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Binary, CBinary, GoBinary, Prebuilt, RustBinary

from .fields import BOOLEAN, TEXT, Check, Field, array, mapping, one_of, values_or_raise
from .names import BIN, COMPILER, FEATURE, FILE_NAME, GO_TAG, RUST_ENV_NAME
from .paths import GLOB, GO_PACKAGE, IMAGE_PATH, PREBUILT, STAMPED, WORKSPACE_PATH
from .spot import Spot


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it makes, and its keys besides those of every binary."""

    make: Callable[..., Binary]
    meaning: str
    fields: tuple[Field, ...]


_GO = (
    Field(key="package", check=GO_PACKAGE, default='"."', wrong="./...",
          meaning="the main package's folder; its module may lie above it (`../..`)"),
    Field(key="tags", check=array(GO_TAG, is_set=True), default="[]", wrong=["a,b"],
          meaning="build tags"),
    Field(key="ldflags", check=array(STAMPED), default="[]", wrong=["-X main.v={git.descibe}"],
          meaning="flags for Go's linker; templates: `{git.describe}` `{git.short}` `{git.sha}` "
          "`{env.NAME}` `{name}`"),
)  # fmt: skip
_RUST = (
    Field(key="crate", check=WORKSPACE_PATH, default='"."', wrong="/src/worker",
          meaning="the folder with Cargo.toml"),
    Field(key="bin", check=BIN, default="the crate's name", wrong="--release",
          meaning="the binary target"),
    Field(key="features", check=array(FEATURE, is_set=True), default="[]", wrong="tls",
          meaning="features to switch on"),
    Field(key="default_features", check=BOOLEAN, default="true", wrong="no",
          meaning="whether the crate's default features are on"),
    Field(key="env", check=mapping(RUST_ENV_NAME, STAMPED), default="{}",
          wrong={"CARGO_HOME": "/opt/cargo"},
          meaning="variables that crates of this repository see when they are compiled: "
          "`option_env!`, macros, build scripts; crates from elsewhere see none of them. They go "
          "before `[env]` of .cargo/config.toml, unless that says `force = true`. Templates: "
          "`{git.describe}` `{git.short}` `{git.sha}` `{env.NAME}` `{name}`"),
)  # fmt: skip
_C = (
    Field(key="srcs", check=array(GLOB, is_full=True), required=True, wrong=[],
          meaning="sources; `.cc .cpp .cxx` are C++"),
    Field(key="cflags", check=array(TEXT), default="[]", wrong="-O2",
          meaning="flags for the compiler, but for dep files (`-MMD` …), which each source has"),
    Field(key="ldflags", check=array(TEXT), default="[]", wrong=[1], meaning="flags for linking"),
    Field(key="cc", check=COMPILER, default="zig cc", wrong="gcc -m32",
          meaning="a C compiler of your own; it must link statically"),
    Field(key="cxx", check=COMPILER, default="zig c++", wrong="", meaning="the same for C++"),
)  # fmt: skip
_PREBUILT = (
    Field(key="path", check=PREBUILT, required=True, wrong="out/{arch}/api",
          meaning="a file built elsewhere, or a label; `{os}` `{architecture}` `{variant}` "
          "stand for the platform's parts"),
)  # fmt: skip

RULES: Mapping[str, Rule] = {
    "go_binary": Rule(GoBinary, "a static binary from a Go main package", _GO),
    "rust_binary": Rule(RustBinary, "a static binary from a Cargo crate", _RUST),
    "c_binary": Rule(CBinary, "a static binary from C and C++ sources", _C),
    "prebuilt": Rule(Prebuilt, "a static binary built elsewhere", _PREBUILT),
}

EVERY_BINARY = (
    Field(key="rule", check=one_of("rule", tuple(RULES)), required=True, wrong="go_libary",
          meaning="how the binary is made"),
    Field(key="name", check=FILE_NAME, default="the service's name", wrong="bin/api",
          meaning="the binary's file name, unique in the service"),
    Field(key="dest", check=IMAGE_PATH, default="/usr/bin/ and the name", wrong="usr/bin/api",
          meaning="where it stands in the image"),
)  # fmt: skip
_EVERY_KEY = tuple(field.key for field in EVERY_BINARY)


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked binary whose name may still be missing; *path* is its place in the file."""

    path: str
    rule: str
    values: Mapping[str, Any]

    def finish(self, service: str) -> Binary:
        """The binary, named after *service* where it has no name of its own."""
        name = self.values.get("name", service)
        return RULES[self.rule].make(**{"name": name, "dest": f"/usr/bin/{name}", **self.values})


def _read_one(value: object, spot: Spot) -> Draft:
    word = value.get("rule") if isinstance(value, Mapping) else None
    rule = RULES.get(word) if isinstance(word, str) else None
    if rule is None:
        if isinstance(value, Mapping):
            # Which other keys are right is not known, so they cannot be judged.
            value = {key: raw for key, raw in value.items() if key in _EVERY_KEY}
        values_or_raise(value, spot, EVERY_BINARY)
        raise AssertionError("an unknown rule was accepted")
    fields = EVERY_BINARY + rule.fields
    known = tuple(field.key for field in fields)

    def hint(key: str) -> str:
        near = did_you_mean(key, known)
        keys = f"{word} takes {', '.join(known)}"
        return f"{near} {keys}" if near.startswith("did") else keys

    values = dict(values_or_raise(value, spot, fields, hint))
    return Draft(spot.path, values.pop("rule"), values)


def _read(value: object, spot: Spot) -> tuple[Draft, ...]:
    if isinstance(value, list | tuple):
        return array(_ONE, is_full=True).read(value, spot)
    if not isinstance(value, Mapping):
        raise spot.wanted(BINARIES.wants, value)
    return (_read_one(value, spot),)


_ONE = Check("a table", _read_one, "tables")
BINARIES: Check[tuple[Draft, ...]] = Check("a table or an array of tables", _read)
