"""Many images of changed binaries: what the second core gives us, and what it can give."""

from ..measure import Contender, interleave
from ..options import Options
from ..ours import parts_of
from ..peers.squeeze import squeeze
from ..table import Table
from .fleet import fleet_of


def run_tables(options: Options) -> list[Table]:
    """The times, and the gains taken from them."""
    fleet = fleet_of(options, options.size(1_000, 8))
    scratch = options.work / "squeezed"
    scratch.mkdir(exist_ok=True)

    def floor(processes: int) -> Contender:
        return Contender(
            name=f"sha256 + gzip, {processes} process{'es' if processes > 1 else ''}",
            before=fleet.change,
            run=lambda _: squeeze(fleet.files(), processes=processes, out=scratch),
        )

    commands = [fleet.changed(f"doit -n {jobs}", "-n", str(jobs)) for jobs in (1, 2)]
    contenders = [*(each.contender for each in commands), floor(1), floor(2)]
    seconds = interleave(contenders, options.count(7, 1), warm_up=False, tell=options.tell)
    one, two, alone, pair = (seconds[contender.name] for contender in contenders)
    services = fleet.shape.services
    facts = {"images": services, "bytes of one binary": len(fleet.program)}
    title = f"{services:,} images of changed binaries"
    return [
        Table(
            name="many",
            title=title,
            baseline=contenders[3].name,
            ours=("doit -n 2", "doit -n 1"),
            seconds=seconds,
            facts=facts,
            parts=parts_of(commands),
        ),
        Table(
            name="many-gain",
            title=f"{title}: what the second core gives",
            baseline="sha256 + gzip",
            ours=("doit",),
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
