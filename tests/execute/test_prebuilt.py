"""Binaries that were built elsewhere."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.digest import Json, digest_of
from scratchtasks.core.errors import NotStatic, StageError
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.execute.operation import Done, Job, Outcome, World
from scratchtasks.execute.prebuilt import Prebuilt


def job(params: Mapping[str, Json], deps: Mapping[str, ActionResult] | None = None) -> Job:
    action = Action(
        label=Label("tool", "binary"),
        mnemonic="Prebuilt",
        op="prebuilt",
        params=params,
        platform=Platform("linux", "amd64"),
    )
    return Job(action, deps or {})


def run(one: Job, world: World) -> Outcome:
    return Prebuilt().run([one], world)[one.action.name]


def program(world: World, name: str, *flags: str) -> Path:
    path = Path(world.root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    code = b"int main(void) { return 0; }\n"
    subprocess.run(["gcc", "-x", "c", "-", "-o", path, *flags], input=code, check=True)
    return path


def test_a_static_file_is_stored_as_it_is(world: World) -> None:
    path = program(world, "out/tool", "-static")
    one = job({"path": "out/tool"})
    assert list(Prebuilt().inputs(one, world)) == [Input("file", "out/tool")]
    done = run(one, world)
    assert isinstance(done, Done)
    blob = done.outputs["binary"]
    assert blob.media_type == "application/vnd.scratchtasks.binary"
    assert (blob.digest, blob.size) == (digest_of(path.read_bytes()), path.stat().st_size)
    path.write_bytes(b"changed later")
    assert world.store.has(blob)


def test_an_absolute_path(world: World) -> None:
    path = program(world, "tool", "-static")
    assert isinstance(run(job({"path": str(path)}), world), Done)


def test_a_dynamic_file_does_not_pass(world: World) -> None:
    program(world, "tool")
    error = run(job({"path": "tool"}), world)
    assert isinstance(error, NotStatic)
    assert error.where == "//tool:binary"


def test_a_missing_file_is_named(world: World) -> None:
    error = run(job({"path": "out/tool"}), world)
    assert isinstance(error, StageError)
    assert str(error) == (
        "//tool:binary: the prebuilt binary out/tool does not exist\n"
        "    hint: binary.path is relative to the service's folder; what makes it runs first as a"
        " task of yours in Workspace(after=[…])"
    )


def test_neither_folders_nor_pipes_are_read(world: World) -> None:
    os.mkdir(os.path.join(world.root, "out"))
    os.mkfifo(os.path.join(world.root, "pipe"))
    for name in ("out", "pipe"):
        error = run(job({"path": name}), world)
        assert str(error) == f"//tool:binary: the prebuilt binary {name} is not a file"


def test_the_output_of_another_action(world: World) -> None:
    made = world.store.put_file(str(program(world, "x", "-static")), "application/octet-stream")
    source = {"source": ActionResult(outputs={"bin/x": made})}
    done = run(job({"output": "bin/x"}, source), world)
    assert isinstance(done, Done)
    assert done.outputs["binary"].digest == made.digest
    error = run(job({"output": "y"}, source), world)
    assert str(error) == "//tool:binary: wanted output 'y' of its source, which has: bin/x"


def test_a_file_for_another_machine(world: World) -> None:
    path = program(world, "tool", "-static")
    data = bytearray(path.read_bytes())
    data[18:20] = (183).to_bytes(2, "little")
    path.write_bytes(data)
    error = run(job({"path": "tool"}), world)
    assert str(error) == (
        "//tool:binary: wanted linux/amd64 (x86-64, 64 bit), got AArch64, 64 bit\n"
        "    hint: image.platforms says what the image is for; `{architecture}` in the path stands"
        " for each"
    )
