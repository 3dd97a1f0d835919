"""Paths of the image and of the workspace, labels and globs."""

import posixpath
import re

from scratchtasks.core.errors import ConfigError, GraphError, StageError
from scratchtasks.core.label import parse_label
from scratchtasks.core.target import Genrule
from scratchtasks.core.tree import check_path

from .fields import TEXT, Check, array
from .spot import Spot, quoted, shown

_TEMPLATE = re.compile(r"\{([A-Za-z_]+(?:\.[A-Za-z0-9_]+)?)\}")


def _image_path(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(IMAGE_PATH.wants, value)
    if not TEXT.read(value, spot).isprintable():
        raise spot.wanted("a path of printable characters", value)
    try:
        return "/" + check_path(value, spot.where)
    except StageError as error:
        raise _in_our_words(error, value, spot) from None


def _in_our_words(error: StageError | GraphError, value: str, spot: Spot) -> ConfigError:
    # core repeats the value as it is, at any length and with control characters.
    return spot.fault(f"{error.what.partition(', got ')[0]}, got {shown(value)}")


def _workdir(value: object, spot: Spot) -> str:
    return "/" if value == "/" else _image_path(value, spot)


def _program(value: object, spot: Spot) -> tuple[str, ...]:
    words = _WORDS.read(value, spot)
    if words and not words[0].startswith("/"):
        raise spot.item(0).wanted(
            "an absolute path inside the image", words[0], "there is no shell and no search path"
        )
    return words


def _command(value: object, spot: Spot) -> tuple[str, ...]:
    if not (words := _program(value, spot)):
        raise spot.wanted(COMMAND.wants, value)
    return words


def _workspace_path(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(WORKSPACE_PATH.wants, value)
    text = TEXT.read(value, spot)
    if not text or text.startswith(("/", "-")) or not text.isprintable():
        raise spot.wanted(WORKSPACE_PATH.wants, value)
    if leaves_workspace(text, spot.folder):
        raise spot.fault(f"{quoted(value)} leads out of the workspace")
    return text


def leaves_workspace(path: str, folder: str) -> bool:
    """Whether *path*, relative to the workspace's *folder*, leads out of the workspace."""
    return posixpath.normpath(posixpath.join(folder, path)).split("/", 1)[0] == ".."


def _folder(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(FOLDER.wants, value)
    plain = posixpath.normpath(TEXT.read(value, spot)) if value else "."
    if plain.startswith("/") or not plain.isprintable() or leaves_workspace(plain, ""):
        raise spot.wanted(FOLDER.wants, value)
    return "" if plain == "." else plain


def _source(value: object, spot: Spot) -> str:
    if isinstance(value, Genrule):
        if len(value.outs) > 1:
            choices = " or ".join(quoted(f"{value.label}/{out}") for out in value.outs)
            hint = f"write {choices}, and have the rule in Workspace(rules=[…])"
            raise spot.fault(f"{value.label} makes {len(value.outs)} files", hint)
        return str(value.label)
    if not isinstance(value, str):
        raise spot.wanted(SOURCE.wants, value)
    if not value.startswith("//"):
        return posixpath.normpath(_workspace_path(value, spot))
    if not TEXT.read(value, spot).isprintable():
        raise spot.wanted(SOURCE.wants, value)
    try:
        return str(parse_label(value))
    except GraphError as error:
        raise _in_our_words(error, value, spot) from None


def _go_package(value: object, spot: Spot) -> str:
    text = _workspace_path(value, spot)
    if "..." in text:
        raise spot.wanted("one package", value, "declare each binary: [[binary]] …")
    return text


def _prebuilt(value: object, spot: Spot) -> str:
    return check_templates(_source(value, spot), ("os", "architecture", "variant"), spot)


def _stamped(value: object, spot: Spot) -> str:
    text = TEXT.read(value, spot)
    return check_templates(text, ("name", "git.describe", "git.short", "git.sha", "env.*"), spot)


def check_templates(text: str, known: tuple[str, ...], spot: Spot) -> str:
    """*text* itself.  Raises: ConfigError for `{word}` or `{word.word}` that is not in *known*.

    A known `env.*` takes any name; braces around anything else stand for themselves.
    """
    for match in _TEMPLATE.finditer(text):
        word = match[1]
        if word not in known and not ("env.*" in known and word.startswith("env.")):
            raise spot.fault(
                f"unknown template {quoted(match[0])}",
                spot.near(match[0][:80], tuple(f"{{{name}}}" for name in known)),
            )
    return text


def fill_templates(text: str, filler: str) -> str:
    """*text* with every template replaced by *filler*, to check what is around them."""
    return _TEMPLATE.sub(filler, text)


IMAGE_PATH = Check("an absolute path inside the image", _image_path, "absolute paths")
WORKDIR = Check(IMAGE_PATH.wants, _workdir)
WORKSPACE_PATH = Check("a relative path inside the workspace", _workspace_path, "paths")
FOLDER = Check("a folder of the workspace, relative to its root", _folder)
GLOB = Check("a relative glob inside the workspace", _workspace_path, "globs")
SOURCE = Check('a relative path inside the workspace or a "//folder:name" label', _source,
               "paths and labels")  # fmt: skip
GO_PACKAGE = Check("a package folder relative to the service's", _go_package)
PREBUILT = Check(SOURCE.wants, _prebuilt)
STAMPED = Check("a string, templates allowed", _stamped, "strings, templates allowed")

_WORDS = array(TEXT)
PROGRAM = Check("an array of strings, an absolute path first", _program)
COMMAND = Check(PROGRAM.wants, _command)
