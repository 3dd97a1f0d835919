"""A generated workspace on disk: written once, committed to git, brought back after edits."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..process import Wrong, doit_program, environment, expect, run

VERSION = 2
"""Raised when a generator would write other files."""

DODO = 'from scratchtasks import Workspace\n\ntask_images = Workspace(services=["services/*"])\n'
PYPROJECT = '[tool.doit]\nloader = "scratch"\n'
IGNORED = ".scratch/\ndist/\ntarget/\n__pycache__/\n.doit.db*\n"

File = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tree:
    """A workspace at *root*."""

    root: Path

    def doit(self, *args: str, env: dict[str, str] | None = None) -> str:
        """Run doit with *args*; what it printed.  Raises: Wrong when it fails."""
        return run([doit_program(), *args], self.root, env).out

    def build(self) -> None:
        """Build every image, and once more so that nothing is young when it is measured."""
        self.doit()
        expect("up to date" in self.doit(), f"{self.root}: doit is not at rest after a build")

    def forget(self) -> None:
        """Remove all that was built, as in a fresh clone."""
        for name in (".scratch", "dist"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def images(self) -> dict[str, str]:
        """Digests by image, as dist/images.json has them."""
        told = json.loads((self.root / "dist" / "images.json").read_text())
        return {image["name"]: image["digest"] for image in told["images"]}

    def files(self) -> int:
        """The number of files that git knows."""
        return run(["git", "ls-files", "-z"], self.root).out.count("\0")

    @contextmanager
    def edited(self, path: str) -> Iterator["Edits"]:
        """Edits of one file, undone at the end."""
        before = (self.root / path).read_text()
        try:
            yield Edits(self.root / path, before)
        finally:
            (self.root / path).write_text(before)


@dataclass(frozen=True, slots=True)
class Edits:
    """Versions of the file *path*, which holds the word MARK."""

    path: Path
    text: str

    def write(self, number: int) -> None:
        """Put version *number* in place: as long as the others, so size gives nothing away."""
        expect(MARK in self.text, f"{self.path}: has no {MARK}")
        self.path.write_text(self.text.replace(MARK, mark_of(number)))


MARK = "edit-000000000"


def mark_of(number: int) -> str:
    """The word that stands for MARK in version *number*."""
    return f"edit-{number:09}"


def grown(root: Path, about: dict[str, object], files: Iterable[File]) -> Tree:
    """The tree of *files* at *root*, as it was committed; written if it is not there yet.

    *about* says what it was made from: another size or seed gives a new tree.
    """
    stamp = root / ".git" / "generated.json"
    wanted = json.dumps({"version": VERSION, **about}, sort_keys=True)
    if stamp.is_file() and stamp.read_text() == wanted:
        _bring_back(root)
        return Tree(root)
    if root.exists():
        if not stamp.is_file() and any(root.iterdir()):
            raise Wrong(f"{root}: is no generated tree, and not empty")
        shutil.rmtree(root)
    for path, text in files:
        _write(root / path, text)
    git = ["git", "-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com"]
    date = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
    run(["git", "init", "-q", "."], root)
    run(["git", "add", "."], root)
    run(
        [*git, "-c", "gc.auto=0", "commit", "-q", "-m", "Generated"],
        root,
        environment(**date),
    )
    stamp.write_text(wanted)
    return Tree(root)


def _bring_back(root: Path) -> None:
    """Undo what a benchmark that was killed has left edited."""
    if run(["git", "status", "--porcelain"], root).out:
        run(["git", "checkout", "-q", "--", "."], root)
        run(["git", "clean", "-fdq"], root)


def _write(path: Path, text: str) -> None:
    try:
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115
    with file:
        file.write(text)
