"""A workspace with one Go service and a rule, and the parts of the plugin over it."""

import os
from collections.abc import Mapping
from pathlib import Path

from scratchtasks.plugin.session import Session
from scratchtasks.plugin.workspace import Workspace

FILES: Mapping[str, str] = {
    "dodo.py": """from scratchtasks import Workspace, genrule

words = genrule(name="words", folder="gen", srcs=["*.txt"], outs=["w"],
                cmd=["cp", "a.txt", "{out}/w"])
task_images = Workspace(services=["services/*"], rules=[words])
""",
    "pyproject.toml": '[tool.doit]\nloader = "scratch"\n',
    "scratch.toml": '[image]\nessentials = ["tmp"]\n',
    "go.mod": "module example.com/shop\n\ngo 1.21\n",
    "gen/a.txt": "a\n",
    "services/api/main.go": "package main\n\nfunc main() {}\n",
    "services/api/service.toml": '[binary]\nrule = "go_binary"\n',
    "services/web/main.go": 'package main\n\nfunc main() { println("web") }\n',
    "services/web/service.toml": '[binary]\nrule = "go_binary"\n\n[image]\n'
    'files = [{ src = "//gen:words", dest = "/w" }]\n',
}


def write(root: Path, files: Mapping[str, str] = FILES) -> None:
    """Write *files* below *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def workspace(root: Path) -> Workspace:
    """What dodo.py makes."""
    space: dict[str, object] = {"__file__": str(root / "dodo.py")}
    exec((root / "dodo.py").read_text(), space)
    found = space["task_images"]
    assert isinstance(found, Workspace)
    return found


def session(root: Path) -> Session:
    """A session of its own: it is not closed at exit, and takes no lock."""
    found = workspace(root)
    return Session(found.root, found.declared(), dict(os.environ), found.events)
