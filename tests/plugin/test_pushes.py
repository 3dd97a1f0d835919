"""What a push looks up before it asks a registry."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scratchtasks.core.task import Task
from scratchtasks.plugin.pushes import Pushes
from scratchtasks.registry import reference

from .shop import session, write


class _Enough(Exception):
    """All that is done without a registry has been done."""


def test_each_place_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 services 20 are pushed: to compare each with each would be 400 looks, and of a
    thousand services as many as take seconds."""
    write(tmp_path)
    names = [f"s{number:02}" for number in range(40)]
    push = '[image]\nentrypoint = ["/x"]\n[push]\nrepository = '
    for name in names:
        path = {f"services/{name}/service.toml": f'{push}"registry.example.com/{name}"\n'}
        write(tmp_path, path)
    found = session(tmp_path)
    monkeypatch.setattr(type(found), "why_unmade", lambda self, task: "")

    def image(self: Pushes, task: Task, tags: Any) -> SimpleNamespace:
        top = SimpleNamespace(digest=task.name)
        repository = f"registry.example.com/{task.name.removeprefix('image:')}"
        return SimpleNamespace(repository=repository, tags=tags, label=str(task.label), top=top)

    def enough(self: Pushes, tasks: list[Task]) -> None:
        raise _Enough

    monkeypatch.setattr(Pushes, "_image", image)
    monkeypatch.setattr(Pushes, "_pass_gates", enough)
    looks: list[str] = []
    parse = reference.parse_reference

    def counting(text: str, where: str = "") -> reference.Reference:
        looks.append(text)
        return parse(text, where)

    monkeypatch.setattr(reference, "parse_reference", counting)
    with pytest.raises(_Enough):
        Pushes(found)._push([found.graph.tasks[f"image:{name}"] for name in names[:20]])
    assert sorted(looks) == [f"registry.example.com/{name}" for name in names]
