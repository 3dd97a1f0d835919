"""Every kind of input, and the program itself, is noticed by a run that remembers."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import scratchtasks

from .memories import looks, settle
from .workspaces import LOADER, QUICK, site_of

FILES = {
    "dodo.py": (
        "from scratchtasks import Workspace, genrule\n"
        'gen = genrule(name="gen", cmd=["sh", "gen.sh", "{out}", "{srcs}"], srcs=["in/*"],\n'
        '              outs=["made"])\n'
        'task_images = Workspace(services=["services/*"], rules=[gen])\n'
    ),
    "pyproject.toml": LOADER,
    "scratch.toml": QUICK,
    "gen.sh": 'out=$1; shift; cat "$@" > "$out/made"\n',
    "in/a": "a",
    "one": "one",
    "two": "two",
    "labelled/file": "label",
    "services/made/service.toml": '[image]\nentrypoint = ["/made"]\n'
    'files = [{ src = "//:gen", dest = "/made", mode = "0755" }]\n',
    "services/tree/service.toml": '[image]\nentrypoint = ["/run"]\nfiles = [\n'
    '    { src = "run", dest = "/run", mode = "0755" }, { src = "tree", dest = "/tree" },\n'
    '    { src = "//labelled:file", dest = "/file" },\n]\n',
    "services/tree/tree/plain": "",
    "services/tree/tree/deep/inner": "",
}


def relink(path: Path, leads_to: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(leads_to)


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


INPUTS: dict[str, Callable[[Path], object]] = {
    "an input of a genrule": lambda root: (root / "in/a").write_text("A"),
    "a new input of a genrule": lambda root: (root / "in/b").write_text("b"),
    "the script of a genrule": lambda root: (root / "gen.sh").write_text('echo > "$1/made"\n'),
    "a file with a label": lambda root: (root / "labelled/file").write_text("new"),
    "where a staged link leads": lambda root: relink(root / "services/tree/tree/link", "deep"),
    "a link to a folder": lambda root: relink(root / "services/tree/tree/link", "../../made"),
    "which file is staged": lambda root: relink(root / "services/tree/run", "../../two"),
    "what a link leads to": lambda root: (root / "two").write_text("2"),
    "a right": lambda root: (root / "services/tree/tree/deep/inner").chmod(0o755),
    "a file that is a folder": lambda root: into_folder(root / "services/tree/tree/plain"),
}


def test_all_kinds_of_inputs_are_seen(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", FILES)
    relink(site.root / "services/tree/run", "../../one")
    relink(site.root / "services/tree/tree/link", "plain")
    site.doit()
    for name, change in INPUTS.items():
        settle(site)
        before = site.images()
        change(site.root)
        assert looks(site), name
        assert site.images() != before, name
    (site.root / "in/a").write_text("by processes")
    site.doit("-n", "2", "-P", "process")
    assert site.images() == site.clean_build(tmp_path / "clean")


def test_a_program_that_was_upgraded_during_a_run_looks_for_itself(tmp_path: Path) -> None:
    """What the old one found is not what the new one would find."""
    code = tmp_path / "code/scratchtasks"
    shutil.copytree(Path(scratchtasks.__file__).parent, code)
    site = site_of(tmp_path / "ws", FILES)
    relink(site.root / "services/tree/run", "../../one")
    site.env["PYTHONPATH"] = str(code.parent)
    time.sleep(2.1)  # older than any run that may have imported it
    settle(site)
    site.write({"gen.sh": FILES["gen.sh"] + f"echo >> '{code}/execute/genrule.py'\n"})
    assert looks(site)
    assert looks(site)
