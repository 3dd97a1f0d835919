"""Many images of changed binaries: what the second core gives us, and what it can give."""

from ..generators.prebuilt import Prebuilt
from ..layouts import content_of
from ..measure import Contender, interleave
from ..options import Options
from ..peers.squeeze import squeeze
from ..process import doit_program, expect, run
from ..table import Table

_ROOM = "4GiB"
"""What a tree may keep: each run of 1,000 images leaves 2 GB in its store."""


def run_tables(options: Options) -> list[Table]:
    """The times, and the gains taken from them."""
    shape = Prebuilt(options.size(1_000, 8))
    tree, program = shape.grow(options.work / f"many-{shape.services}")
    files = [tree.root / "services" / name / "program" for name in shape.names()]
    shape.write_programs(tree, program, 0)
    tree.build()
    scratch = options.work / "squeezed"
    scratch.mkdir(exist_ok=True)

    def change(number: int) -> None:
        shape.write_programs(tree, program, number)

    def make_room_and_change(number: int) -> None:
        tree.doit("cache", "--collect", "--limit", _ROOM)
        tree.build()
        change(number)

    def is_shipped(number: int) -> None:
        for name in (shape.names()[0], shape.names()[-1]):
            held = content_of(tree.root / "dist" / name, f"usr/bin/{name}")
            given = (tree.root / "services" / name / "program").read_bytes()
            expect(held == given, f"{name}: the image has another program")

    def doit(jobs: int) -> Contender:
        return Contender(
            name=f"doit -n {jobs}",
            before=make_room_and_change,
            run=lambda _: run([doit_program(), "-n", str(jobs)], tree.root),
            check=is_shipped,
        )

    def floor(processes: int) -> Contender:
        return Contender(
            name=f"sha256 + gzip, {processes} process{'es' if processes > 1 else ''}",
            before=change,
            run=lambda _: squeeze(files, processes=processes, out=scratch),
        )

    contenders = [doit(1), doit(2), floor(1), floor(2)]
    seconds = interleave(contenders, options.count(7, 1), warm_up=False, tell=options.tell)
    one, two, alone, pair = (seconds[contender.name] for contender in contenders)
    facts = {"images": shape.services, "bytes of one binary": len(program)}
    title = f"{shape.services:,} images of changed binaries"
    return [
        Table(
            name="many",
            title=title,
            baseline=contenders[3].name,
            ours="doit -n 2",
            seconds=seconds,
            facts=facts,
        ),
        Table(
            name="many-gain",
            title=f"{title}: what the second core gives",
            baseline="sha256 + gzip",
            ours="doit",
            seconds={
                "doit": [a / b for a, b in zip(one, two, strict=True)],
                "sha256 + gzip": [a / b for a, b in zip(alone, pair, strict=True)],
            },
            wanted=0.9,
            at_least=True,
            unit="×",
            facts=facts,
            notes=("The gain of two workers over one: more is better.",),
        ),
    ]
