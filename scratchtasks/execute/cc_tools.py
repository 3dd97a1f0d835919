"""What a C compiler's driver starts and reads: `cc` itself is only a small program."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.frozen import dataclass

from .operation import World
from .toolchains import find_program, is_file, is_on_path, tool_digests

_HELPERS = ("as", "ld", "collect2", "cc1", "cc1plus", "lto1", "lto-wrapper")

_DRIVERS = ("cc", "c++", "gcc", "g++", "clang", "clang++")
"""What a script or ccache may stand before: musl-gcc starts the `gcc` on PATH."""

_READS = re.compile(r"^(?:Reading specs from|Configuration file:) (.+)$", re.MULTILINE)
_LOADS = re.compile(r"(/\S.*) \(0x[0-9a-f]+\)$", re.MULTILINE)


def helper_programs(
    driver: str, world: World, flags: Sequence[str] = (), cwd: str = ""
) -> list[Json]:
    """Key material: name and digest of every file that decides what *driver* (absolute) makes.

    These are the driver and what it starts: assembler, linker, the compilers proper; what it is
    a script around; the libraries that all of those load, as a compiler may be hardly more than
    its libraries; its specs and configuration files.  Of *flags*, those count that name other
    helpers: `-fuse-ld=`, `--ld-path=`, `-B`, `-specs=`.  They are relative to *cwd*, an absolute
    folder, by default the workspace's root.

    Starts no process unless one of these files has changed, or PATH has another program of such
    a name.  A compiler that does not answer gcc's questions counts by itself and its libraries.
    """
    steering = tuple(_steering(flags))
    asked = _Driver(driver, world, steering, cwd or world.root)
    return world.files.once("\0".join(("helpers", driver, cwd, *steering)), asked.identity)


def libraries_of(programs: Sequence[str], world: World) -> list[str]:
    """The absolute paths of the shared libraries that *programs* (absolute) load, and they in turn.

    Starts no process unless one of the programs has changed, or what is installed.  None are
    found where there is no `ldd`.
    """
    ldd = find_program("ldd", world)
    if ldd is None:
        return []
    seen = key_of(*_digests([*programs, ldd, "/etc/ld.so.cache"], world))
    return sorted({*_LOADS.findall(_ask([ldd, *programs], world.root, seen, world)[0])})


def _steering(flags: Sequence[str]) -> Iterator[str]:
    """Those of *flags* that name helpers, each as one word."""
    rest = iter(flags)
    for flag in rest:
        if flag in ("-B", "-specs", "--specs"):
            yield f"{flag}{'' if flag == '-B' else '='}{next(rest, '')}"
        elif flag.startswith(("-fuse-ld=", "--ld-path=", "-B", "-specs=", "--specs=")):
            yield flag


@dataclass(frozen=True, slots=True)
class _Driver:
    """A compiler as it is started in the folder *cwd* with the flags *steering*."""

    path: str
    world: World
    steering: tuple[str, ...]
    cwd: str

    def identity(self) -> list[Json]:
        named = self._named()
        # All that can change an answer: these files, whichever of them there are.
        seen = key_of(*_digests([self.path, *named, *self._candidates()], self.world))
        programs = [self.path, *named, *self._wrapped()]
        programs += (path for name in self._helpers() if (path := self._place_of(name, seen)))
        files = [*programs, *self._read(seen), *libraries_of(programs, self.world)]
        found = {(os.path.basename(path), digest) for path, digest in _digests(files, self.world)}
        return [list(each) for each in sorted(found)]

    def _helpers(self) -> list[str]:
        linkers = (flag.partition("=")[2] for flag in self.steering if flag.startswith("-fuse-ld="))
        return [*_HELPERS, *(f"ld.{name}" for name in linkers)]

    def _named(self) -> list[str]:
        """The files that flags name by their place: specs, linkers."""
        values = (flag.partition("=")[2] for flag in self.steering if "=" in flag)
        places = (os.path.join(self.cwd, value) for value in values)
        return [place for place in places if is_file(place, self.world)]

    def _candidates(self) -> Iterator[str]:
        """Every program with the name of a helper or a driver, where one may be looked for."""
        own = [os.path.join(self.cwd, flag[2:]) for flag in self.steering if flag.startswith("-B")]
        on_path = self.world.env.get("PATH", os.defpath).split(os.pathsep)
        for place in (*own, *filter(os.path.isabs, on_path)):
            for name in (*self._helpers(), *_DRIVERS):
                path = os.path.join(place, name)
                if is_on_path(path, self.world):
                    yield path

    def _wrapped(self) -> list[str]:
        """What this is a script around: any that it could mean."""
        with open(self.path, "rb") as file:
            if file.read(2) != b"#!":
                return []
        return [path for name in _DRIVERS if (path := find_program(name, self.world))]

    def _place_of(self, name: str, seen: str) -> str | None:
        """The absolute path of the helper *name* as the driver would start it, or None."""
        said = self._ask([f"-print-prog-name={name}"], seen)[0].strip()
        if "/" not in said:
            return find_program(said or name, self.world)
        path = os.path.join(self.cwd, said)
        return path if is_file(path, self.world) else None

    def _read(self, seen: str) -> list[str]:
        """The specs and configuration files that are read at every start."""
        found = _READS.findall(self._ask(["-v"], seen)[1])
        return [os.path.join(self.cwd, name) for name in found]

    def _ask(self, question: Sequence[str], seen: str) -> tuple[str, str]:
        flags = [flag for flag in self.steering if not flag.startswith(("-fuse-ld=", "--ld-path="))]
        return _ask([self.path, *flags, *question], self.cwd, seen, self.world)


def _ask(argv: Sequence[str], cwd: str, seen: str, world: World) -> tuple[str, str]:
    """What *argv* says on stdout and on stderr in the folder *cwd*, once per state *seen*."""
    env = {"PATH": world.env.get("PATH", os.defpath), "LC_ALL": "C"}

    def make() -> str:
        done = world.processes.run(argv, cwd=cwd, env=env, show_stderr=False)
        return (done.stdout + b"\0" + done.stderr).decode("utf-8", "surrogateescape")

    said = world.files.probes.ask(["cc tools", list(argv), cwd, env, seen], make)
    stdout, _, stderr = said.partition("\0")
    return stdout, stderr


def _digests(paths: Iterable[str], world: World) -> list[tuple[str, str]]:
    """Each of *paths* with its digest."""
    paths = list(dict.fromkeys(paths))
    return [
        (path, str(digest)) for path, digest in zip(paths, tool_digests(paths, world), strict=True)
    ]
