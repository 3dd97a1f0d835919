"""A workspace whose nights are simulated: in this process, under any clock, with a real pip."""

import json
import os
import platform
import struct
from collections.abc import Mapping
from pathlib import Path

from scratchtasks.config.lockfile import format_lockfile
from scratchtasks.core.target import Pin
from scratchtasks.plugin.events import Events
from scratchtasks.plugin.refreshing.night import Show, Wishes, nobody, refresh
from scratchtasks.plugin.session import Session
from scratchtasks.plugin.workspace import Workspace
from scratchtasks.refresh.proposal import Proposal

from .asking import in_here

PREBUILT = '[binary]\nrule = "prebuilt"\npath = "tool"\n[image]\n'
SERVICES: Mapping[str, str] = {
    "api": "",
    "clock": 'essentials = ["zoneinfo"]\n[zoneinfo]\nzones = ["UTC", "Africa/Casablanca"]\n',
    "tls": 'essentials = ["certs"]\n',
    "plain": 'essentials = ["tmp"]\n',
}
"""Services by name: all essentials, zones, certs, and neither."""


def tiny_program() -> bytes:
    """An ELF file that asks for no loader; it is never started."""
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    start = 0x400000
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1" + bytes(9), 2, machine, 1, start + 120, 64, 0, 0, 64,
        56, 1, 64, 0, 0,
    )  # fmt: skip
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, 124, 124, 4096) + bytes(4)


def make_workspace(
    root: Path, pins: Mapping[str, Pin] | None, services: Mapping[str, str] = SERVICES
) -> Path:
    """A workspace of prebuilt *services*, locked to *pins*."""
    files = {"dodo.py": 'from scratchtasks import Workspace\nws = Workspace(services=["s/*"])\n'}
    files |= {f"s/{name}/service.toml": PREBUILT + text for name, text in services.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in services:
        (root / "s" / name / "tool").write_bytes(tiny_program())
        (root / "s" / name / "tool").chmod(0o755)
    if pins is not None:
        (root / "scratch.lock").write_text(format_lockfile(pins))
    return root


def session_at(root: Path, env: Mapping[str, str] | None = None) -> Session:
    """A session of its own over the workspace at *root*."""
    workspace = Workspace(services=["s/*"], root=str(root))
    return Session(str(root), workspace.declared(), env or dict(os.environ), Events())


def build_all(root: Path) -> dict[str, str]:
    """Build every image; their digests by name, as dist/ has them."""
    session = session_at(root)
    done: set[str] = set()

    def build(name: str) -> None:
        if name not in done:
            done.add(name)
            task = session.graph.tasks[name]
            for dep in task.deps:
                build(dep)
            session.build(task)

    try:
        for name in session.graph.services:
            build(f"image:{name}")
    finally:
        session.close()
    return digests(root)


def digests(root: Path) -> dict[str, str]:
    """What dist/ holds."""
    found = {}
    for folder in sorted((root / "dist").iterdir()):
        if folder.is_dir():
            index = json.loads((folder / "index.json").read_text())
            found[folder.name] = index["manifests"][0]["digest"]
    return found


def night(
    root: Path,
    env: Mapping[str, str],
    now: float,
    wishes: Wishes | None = None,
    on_ready: Show = nobody,
) -> tuple[Proposal, str]:
    """One `doit refresh` at *now*, with pip as *env* configures it.  Raises: ScratchError."""
    session = session_at(root, env)
    try:
        return refresh(session, wishes or Wishes(), now, in_here(dict(env)), on_ready=on_ready)
    finally:
        session.close()
