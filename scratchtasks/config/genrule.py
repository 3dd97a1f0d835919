"""The field table of a genrule, the one rule that only dodo.py can declare."""

from collections.abc import Mapping
from dataclasses import replace

from scratchtasks.core.errors import ConfigError
from scratchtasks.core.label import Label
from scratchtasks.core.target import Genrule

from .fields import TEXT, Check, Field, array, matching, read_fields
from .names import ENV
from .paths import FOLDER, SOURCE
from .spot import Spot, quoted

_TAKEN = ("binary", "image", "load", "smoke", "push")
_NAME = matching(
    "a name of letters, digits, '.', '_' and '-'", r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
)


def _name(value: object, spot: Spot) -> str:
    name = _NAME.read(value, spot)
    if name in _TAKEN or name.startswith("binary."):
        raise spot.fault(f"{quoted(name)} is what a service's own target is called")
    return name


def _out(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(_OUT.wants, value)
    parts = TEXT.read(value, spot).split("/")
    if not value.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise spot.wanted(_OUT.wants, value)
    return value


_OUT = Check("a relative path without '.' and '..'", _out, "relative paths")

GENRULE = (
    Field(key="name", check=Check(_NAME.wants, _name), required=True, wrong="image",
          meaning="the rule is `//folder:name`"),
    Field(key="folder", check=FOLDER, default='"", the workspace root', wrong="../gen",
          meaning="where the command runs, and what srcs are relative to"),
    Field(key="cmd", check=array(TEXT, is_full=True), required=True, wrong="protoc api.proto",
          meaning="the program and its arguments, watched where they are files, or what stands "
          "after a `=` is; `{out}` is the folder to write to, `{srcs}` stands for all sources"),
    Field(key="srcs", check=array(SOURCE), default="[]", wrong=["/usr/share/x"],
          meaning="all else that it reads: globs, labels, other genrules; what those made comes "
          "last in `{srcs}`, under the names they gave it: read-only, not executable"),
    Field(key="outs", check=array(_OUT, is_full=True, is_set=True), required=True,
          wrong=["../a.sql"], meaning="the files it writes into `{out}`"),
    Field(key="env", check=ENV, default="{}", wrong={"N": 1},
          meaning="all of its environment besides PATH"),
)  # fmt: skip


def genrule_from_table(table: Mapping[str, object], origin: str) -> Genrule:
    """The genrule that *table* declares; *origin* is the call, for messages.

    Raises: ConfigErrors with every fault.
    """
    spot = Spot(origin)
    try:
        spot = replace(spot, folder=FOLDER.read(table.get("folder", ""), spot))
    except ConfigError:
        pass  # kept below, by the field of that name
    values = dict(read_fields(table, spot, GENRULE).good)
    spot.raise_if_faulty()
    label = Label(values.pop("folder", ""), values.pop("name"))
    return Genrule(label=label, origin=origin, **values)
