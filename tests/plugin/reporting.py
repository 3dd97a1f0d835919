"""Workspaces whose tasks only pretend to work, for what doit prints of them."""

import os
from pathlib import Path

_LOADER = """\
import os, time
from doit.action import BaseAction
from doit.cmd_base import DodoTaskLoader
from doit.exceptions import TaskFailed
from scratchtasks.plugin.events import *
from scratchtasks.plugin.reporter import META, ScratchReporter
from scratchtasks.plugin.signals import install

events = Events()

class Build(BaseAction):
    out = err = result = task = None
    values = {}
    def __init__(self, work, label, outcome, error, is_image, seconds):
        self.__dict__.update(locals())
    def execute(self, out=None, err=None):
        if self.outcome == "hit":
            events.emit(Finished(self.work, "hit"))
        else:
            events.emit(Started((self.work,), "main.go changed"))
            time.sleep(self.seconds)
            events.show(f"warning from {self.label}\\n".encode() * (self.outcome == "warns"))
            if self.outcome == "crashes":
                return TaskFailed("crashed", ValueError("a bug"))
            if self.error:
                return TaskFailed(self.error)
            events.emit(Finished(self.work, "ran", 1.239))
        if self.is_image:
            how = "hit" if self.outcome == "hit" else "ran"
            events.emit(ImageMade(self.label, "sha256:0", how))

def group():
    return {"name": None, "meta": {META: {}}}

def build(kind, service, outcome="ran", error="", deps=(), seconds=0.0):
    label = f"//services/{service}:{kind}"
    name = f"{label}@linux/amd64"
    is_image = kind == "image"
    work = Work(name, label, "Assemble" if is_image else "GoCompile", "linux/amd64")
    return {"name": service, "task_dep": list(deps), "uptodate": [outcome == "fresh"],
            "actions": [Build(work, label, outcome, error, is_image, seconds)],
            "meta": {META: {"label": label, "actions": (name,), "image": is_image}}}

class After(BaseAction):
    out = err = task = None
    values = {}
    def __init__(self, error, result):
        self.error, self.result = error, result
    def execute(self, out=None, err=None):
        return TaskFailed(self.error) if self.error else None

def after(kind, service, error="", result="done", of="image"):
    of = f"{of}:{service}"
    return {"basename": kind, "name": service, "task_dep": [of], "uptodate": [False],
            "actions": [After(error, result)], "meta": {META: {"after": kind, "of": of}}}

class Loader(DodoTaskLoader):
    def load_doit_config(self):
        theirs = super().load_doit_config()
        reporter = ScratchReporter.bound_to(events, os.environ)
        return {"reporter": reporter, "verbosity": 1, **theirs}
    def load_tasks(self, cmd, pos_args):
        if cmd.execute_tasks:
            install(lambda: None, events)
        if os.environ.get("LEFT_OUT"):
            events.emit(Planned(4, 4))
            return []
        return super().load_tasks(cmd, pos_args)
"""


def reporting_workspace(folder: Path, dodo: str) -> Path:
    (folder / "loading.py").write_text(_LOADER)
    (folder / "dodo.py").write_text(f"from loading import after, build, group\n{dodo}")
    (folder / "pyproject.toml").write_text(
        '[tool.doit]\nloader = "test"\ndep_file = "doit.db"\n'
        '[tool.doit.plugins.loader]\ntest = "loading:Loader"\n'
        '[tool.doit.plugins.reporter]\nscratch = "scratchtasks.plugin.reporter:ScratchReporter"\n'
    )
    return folder


def plain_environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    return {**plain, "PYTHONPATH": os.getcwd(), **more}
