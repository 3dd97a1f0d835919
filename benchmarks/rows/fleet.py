"""Services with prebuilt binaries, all of which change: no compiler counts."""

from dataclasses import dataclass
from pathlib import Path

from ..generators.prebuilt import Prebuilt
from ..generators.tree import Tree
from ..layouts import content_of
from ..options import Options
from ..ours import Ours
from ..process import expect

_ROOM = "4GiB"
"""What a tree may keep: each run of 1,000 images leaves 2 GB in its store."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The services *shape* of *tree*, whose programs are copies of *program*."""

    shape: Prebuilt
    tree: Tree
    program: bytes

    def files(self) -> list[Path]:
        """The programs that ours is given."""
        return [self.tree.root / "services" / name / "program" for name in self.shape.names()]

    def change(self, number: int) -> None:
        """Give each service another program."""
        self.shape.write_programs(self.tree, self.program, number)

    def changed(self, name: str, *words: str) -> Ours:
        """doit with *words*, all of whose programs have changed."""
        return Ours(
            name=name,
            cwd=self.tree.root,
            words=words,
            before=self._make_room_and_change,
            check=self._check,
        )

    def _make_room_and_change(self, number: int) -> None:
        self.tree.doit("cache", "--collect", "--limit", _ROOM)
        self.tree.build()
        self.change(number)

    def _check(self, _: int) -> None:
        for path in (self.files()[0], self.files()[-1]):
            name = path.parent.name
            held = content_of(self.tree.root / "dist" / name, f"usr/bin/{name}")
            expect(held == path.read_bytes(), f"{name}: the image has another program")


def fleet_of(options: Options, services: int) -> Fleet:
    """*services* services, built and at rest."""
    shape = Prebuilt(services)
    tree, program = shape.grow(options.work / f"many-{services}")
    fleet = Fleet(shape, tree, program)
    fleet.change(0)
    tree.build()
    return fleet
