"""`doit list` and `doit info` in a large tree, against doit alone with equal tasks."""

from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours
from ..peers.plain_doit import PlainDoit
from ..process import expect
from ..table import Table
from .trees import facts_of, large


def run_tables(options: Options) -> list[Table]:
    """A table for each command."""
    tree, shape = large(options)
    plain = PlainDoit(tree, shape.names(), options.work / "plain-doit")
    plain.record()
    name = f"image:{shape.names()[shape.services // 2]}"
    facts = facts_of(tree, shape)
    tables = []
    for slug, words, told in (
        ("list", ("list",), "image"),
        ("list-all", ("list", "--all"), name),
        ("info", ("info", name), name),
    ):

        def theirs(_: int, words: tuple[str, ...] = words, told: str = told) -> None:
            said = plain.doit(*words)
            expect(told in said, f"plain doit {words}: no {told} in {said[:300]}")

        ours = Ours(name="doit " + " ".join(words), cwd=tree.root, words=words, says=told)
        contenders = [
            ours.contender,
            Contender(name="the same, plain doit", run=theirs),
        ]
        tables.append(
            Table(
                name=slug,
                title=f"`{ours.name}`: {shape.services:,} services",
                baseline="the same, plain doit",
                ours=(ours.name,),
                seconds=interleave(contenders, options.count(7, 1), tell=options.tell),
                wanted=None if slug == "list-all" else 1.0,
                facts=facts,
            )
        )
    return tables
