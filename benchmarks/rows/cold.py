"""Everything from nothing: Go services and Rust crates, empty caches on both sides."""

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from scratchtasks.config.default_pins import DEFAULT_PINS

from ..generators.go_monorepo import GoMonorepo
from ..generators.rust_workspace import RustWorkspace
from ..generators.tree import MARK, File, Tree, grown
from ..layouts import expect_said
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.cargo import cargo_build
from ..peers.go import go_build
from ..process import environment, expect, run, this_python
from ..table import Table


def run_tables(options: Options) -> list[Table]:
    """One table.  Wheels come from a folder: no download is in anybody's time."""
    go = GoMonorepo(services=options.size(100, 2), is_web=not options.short, plenty=False)
    rust = RustWorkspace(2 if options.short else 10)
    tree = _mixed(options.work / f"cold-{go.services}-{rust.crates}", go, rust)
    caches = options.work / "cold-caches"
    wheels = _wheels(options.work / "wheels")
    env = environment(
        GOCACHE=str(caches / "go"), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels)
    )  # fmt: skip

    def empty(_: int) -> None:
        tree.forget()
        shutil.rmtree(caches, ignore_errors=True)
        (caches / "out").mkdir(parents=True)

    def is_shipped(_: int) -> None:
        expect(tree.images().keys() == {*go.names(), *rust.names()}, "images are missing")
        for name in (go.names()[0], rust.names()[-1]):
            expect_said(tree.root / "dist" / name, name, MARK)

    def bare(_: int) -> None:
        packages = [f"./services/{name}" for name in go.names()]
        go_build(tree.root, f"{caches}/out/", packages, GOCACHE=str(caches / "go"))
        cargo_build(tree.root, caches / "cargo")

    def is_built(_: int) -> None:
        expect(len(list((caches / "out").iterdir())) == go.services, "go binaries are missing")

    doit = Ours(name="doit", cwd=tree.root, env=env, before=empty, check=is_shipped)
    contenders = [
        doit.contender,
        Contender(name="go build + cargo build", before=empty, run=bare, check=is_built),
    ]
    seconds = interleave(contenders, options.count(7, 1), warm_up=False, tell=options.tell)
    parts = parts_of([doit])
    empty(0)
    return [
        Table(
            name="cold",
            title=f"From nothing: {go.services} Go services and {rust.crates} Rust crates",
            baseline="go build + cargo build",
            ours=(doit.name,),
            seconds=seconds,
            wanted=1.1,
            facts={"machine": platform.machine(), "images": go.services + rust.crates},
            parts=parts,
        )
    ]


def _mixed(root: Path, go: GoMonorepo, rust: RustWorkspace) -> Tree:
    def files() -> Iterator[File]:
        yield from go.files()
        yield from rust.files()

    return grown(root, {**go.about(), "crates": rust.crates}, files())


def _wheels(folder: Path) -> Path:
    """The pinned wheels, downloaded once."""
    folder.mkdir(parents=True, exist_ok=True)
    for pin in DEFAULT_PINS.values():
        if not list(folder.glob(f"{pin.name}-{pin.version}-*.whl")):
            wanted = f"{pin.name}=={pin.version}"
            run(
                [this_python(), "-m", "pip", "download", "--no-deps", "-d", str(folder), wanted],
                folder,
            )
    return folder
