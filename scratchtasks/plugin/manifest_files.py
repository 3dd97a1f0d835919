"""Manifests on disk: which files `-f PATH…` means, and where their resolved text goes."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.frozen import dataclass
from scratchtasks.store.atomic import read_error, write_atomic

STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")
_TEXT_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A file that was read: *origin* for messages, *path* below an output folder.

    *mode* is its permission bits, which its output keeps (a Secret may be in it); *identity*
    is its device and inode, None for standard input.
    """

    origin: str
    path: str
    text: str
    mode: int = _TEXT_MODE
    identity: tuple[int, int] | None = None


def read_manifests(paths: Sequence[str], stdin: BinaryIO | None, skip: str = "") -> list[Manifest]:
    """The manifests that *paths* name, in their order, each once.

    A file is taken whatever its name; of a folder, all `*.yaml`, `*.yml` and `*.json` below it,
    by path, without hidden files and folders and without the folder *skip* (the output of an
    earlier run); `-` is *stdin*, None where that is closed.

    Raises: ConfigErrors for all that is missing, holds no manifest or is not UTF-8; StoreError
    for what cannot be read.
    """
    manifests: dict[str, Manifest] = {}
    errors: list[ConfigError] = []
    for path in paths:
        files = _files(path, skip)
        if not files:
            errors.append(ConfigError(path, "no *.yaml, *.yml or *.json in this folder"))
        for origin, relative in files:
            name = origin if origin == STDIN else os.path.abspath(origin)
            if name in manifests:
                continue
            try:
                manifests[name] = _read(origin, relative, stdin)
            except ConfigError as error:
                errors.append(error)
    if errors:
        raise ConfigErrors(tuple(errors))
    return list(manifests.values())


def outputs(manifests: Iterable[Manifest], folder: str) -> dict[str, Manifest]:
    """Where each of *manifests* goes in *folder*, by absolute path: nothing is written yet.

    Files of a folder keep their path relative to it, others their name; standard input becomes
    `stdin.yaml`.

    Raises: ConfigErrors when two would share a path, or one is a file that was read.
    """
    manifests = list(manifests)
    inputs = {it.identity: it.origin for it in manifests if it.identity}
    placed: dict[str, Manifest] = {}
    errors: list[ConfigError] = []
    for manifest in manifests:
        target = os.path.join(os.path.abspath(folder), manifest.path)
        other = placed.setdefault(target, manifest)
        shown = os.path.join(folder, manifest.path)
        if other is not manifest:
            what = f"both {other.origin} and {manifest.origin} would be written here"
            errors.append(ConfigError(shown, what, "resolve them into separate folders"))
        elif (identity := _identity(target)) in inputs:
            what = f"would overwrite {inputs[identity]}, which is an input"
            errors.append(ConfigError(shown, what, "choose a folder outside the inputs"))
    if errors:
        raise ConfigErrors(tuple(errors))
    return placed


def write_manifests(placed: Mapping[str, Manifest], texts: Mapping[str, str]) -> None:
    """Write the resolved text of each manifest (by its origin) to its place from `outputs`.

    Each file appears whole or not at all.  Raises: StoreError.
    """
    for target, manifest in placed.items():
        write_atomic(target, texts[manifest.origin].encode(), manifest.mode)


def joined(texts: Sequence[str]) -> str:
    """*texts* as one stream for standard output: a single one unchanged, several separated."""
    stream = "".join(texts[:1])
    for text in texts[1:]:
        text = text.removeprefix("\ufeff")
        if stream and not stream.endswith("\n"):
            stream += "\n"
        if text.startswith("%"):
            stream += "...\n"  # a document with directives brings its own `---`
        elif not text.startswith("---"):
            stream += "---\n"
        stream += text
    return stream


def _files(path: str, skip: str) -> list[tuple[str, str]]:
    """The files *path* names, each with its path below an output folder."""
    if path == STDIN:
        return [(STDIN, "stdin.yaml")]
    if os.path.isdir(path):
        return [(os.path.join(path, below), below) for below in sorted(_below(path, skip))]
    return [(path, os.path.basename(path))]


def _below(folder: str, skip: str) -> Iterator[str]:
    """Paths of the manifests below *folder*, relative to it."""

    def refuse(error: OSError) -> None:
        raise read_error(str(error.filename), error)

    skipped = _identity(skip) if skip else None
    for parent, folders, names in os.walk(folder, onerror=refuse):
        if skipped:
            folders[:] = [x for x in folders if _identity(os.path.join(parent, x)) != skipped]
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)
            # A dangling link is kept, to be an error; a pipe or socket would never end.
            is_file = os.path.isfile(path) or not os.path.exists(path)
            if is_file and name.endswith(_SUFFIXES) and not name.startswith("."):
                yield os.path.relpath(path, folder)


def _read(origin: str, relative: str, stdin: BinaryIO | None) -> Manifest:
    if origin == STDIN:
        if stdin is None:
            raise ConfigError("<stdin>", "is closed")
        return Manifest(origin="<stdin>", path=relative, text=_decoded("<stdin>", stdin.read()))
    try:
        with open(origin, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read()
    except FileNotFoundError:
        raise ConfigError(origin, "no such file or folder") from None
    except OSError as error:
        raise read_error(origin, error) from error
    is_file = stat.S_ISREG(status.st_mode)  # a pipe (`<(…)`) has a mode of its own
    return Manifest(
        origin=origin,
        path=relative,
        text=_decoded(origin, data),
        mode=stat.S_IMODE(status.st_mode) & 0o777 if is_file else _TEXT_MODE,
        identity=(status.st_dev, status.st_ino),
    )


def _decoded(origin: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        what = f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise ConfigError(origin, what) from None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
