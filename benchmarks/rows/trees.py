"""The trees that several benchmarks measure on, built and at rest."""

from ..generators.go_monorepo import GoMonorepo
from ..generators.tree import Tree
from ..options import Options
from ..process import expect

Built = tuple[Tree, GoMonorepo]


def large(options: Options) -> Built:
    """1,000 services, 100,000 files; 12 services in the short form."""
    return _built(options, GoMonorepo(services=options.size(1_000, 12)), "large")


def hundred(options: Options) -> Built:
    """100 web services of one module, all of which import one package; 3 in the short form."""
    shape = GoMonorepo(services=options.size(100, 3), is_web=not options.short, plenty=False)
    return _built(options, shape, "hundred")


def twenty(options: Options) -> Built:
    """20 web services of one module; 3 in the short form."""
    shape = GoMonorepo(services=options.size(20, 3), is_web=True, plenty=False)
    return _built(options, shape, "twenty")


def grown_to(options: Options, services: int) -> Built:
    """*services* services of 100 files each."""
    name = "large" if services == options.size(1_000, 12) else "growth"
    return _built(options, GoMonorepo(services=services), name)


def _built(options: Options, shape: GoMonorepo, name: str) -> Built:
    tree = shape.grow(options.work / f"{name}-{shape.services}")
    options.tell(f"{tree.root}: building what is not built yet")
    tree.build()
    expect(tree.images().keys() == set(shape.names()), f"{tree.root}: images are missing")
    return tree, shape


def facts_of(tree: Tree, shape: GoMonorepo) -> dict[str, object]:
    """How large *tree* is: services, files in git, and tasks as `doit list --all` counts them."""
    tasks = len(tree.doit("list", "--all").splitlines())
    return {"services": shape.services, "files": tree.files(), "tasks": tasks}
