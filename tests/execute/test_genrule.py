"""Genrules: what their commands see, and what is kept of what they write."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.label import Label
from scratchtasks.execute.genrule import Genrule
from scratchtasks.execute.operation import Done, Job, Outcome, World


def job(*cmd: str, srcs: Sequence[str] = (), outs: Sequence[str] = ("o",), **more: Any) -> Job:
    params: dict[str, Any] = {"folder": "gen", "cmd": list(cmd), "srcs": list(srcs)}
    params |= {"files": [], "made": [], "outs": list(outs), "env": {}, **more}
    return Job(Action(label=Label("gen", "r"), mnemonic="Genrule", op="genrule", params=params))


def run(each: Job, world: World) -> Outcome:
    os.makedirs(os.path.join(world.root, "gen"), exist_ok=True)
    return Genrule().run([each], world)[each.action.name]


def text_of(outcome: Outcome, world: World, name: str = "o") -> str:
    assert isinstance(outcome, Done), outcome
    return world.store.read(outcome.outputs[name].digest).decode()


def test_it_runs_in_its_folder_and_writes_into_out(world: World) -> None:
    outcome = run(job("sh", "-c", 'pwd > "$0"', "{out}/o"), world)
    assert text_of(outcome, world) == f"{world.root}/gen\n"
    assert os.listdir(os.path.join(world.scratch, "tmp")) == []


def test_it_sees_path_and_its_own_variables_alone(world: World) -> None:
    outcome = run(
        job("sh", "-c", '/usr/bin/env | sort > "$0"', "{out}/o", env={"LANG": "C"}), world
    )
    names = {line.partition("=")[0] for line in text_of(outcome, world).splitlines()}
    assert names - {"_", "PWD", "SHLVL", "OLDPWD"} == {"LANG", "PATH"}


def test_sources_are_relative_to_its_folder_and_inputs(world: World) -> None:
    for name in ("gen/b.txt", "gen/-a.txt", "other/c.txt"):
        path = Path(world.root, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    each = job(
        "sh",
        "-c",
        'echo "$@" > "$0"',
        "{out}/o",
        "{srcs}",
        "x{srcs}",
        srcs=["*.txt"],
        files=["other/c.txt"],
    )
    outcome = run(each, world)
    assert text_of(outcome, world) == "./-a.txt b.txt ../other/c.txt x{srcs}\n"
    assert isinstance(outcome, Done)
    assert set(outcome.inputs) == {
        Input("names", "gen", ".txt"),
        *(Input(kind, f"gen/{name}.txt") for name in ("-a", "b") for kind in ("file", "mode")),
        Input("file", "other/c.txt"),
        Input("mode", "other/c.txt"),
    }


def test_signs_in_the_name_of_its_folder_are_no_pattern(world: World) -> None:
    for name in ("gen[1]/a.txt", "gen1/b.txt"):
        Path(world.root, name).parent.mkdir()
        Path(world.root, name).write_text(name)
    each = job("cp", "{srcs}", "{out}/o", srcs=["*.txt"], folder="gen[1]")
    assert text_of(run(each, world), world) == "gen[1]/a.txt"


def test_a_file_that_a_label_names_must_be_there(world: World) -> None:
    outcome = run(job("true", files=["other/c.txt"]), world)
    assert str(outcome) == (
        "//gen:r: there is no file 'other/c.txt'\n"
        "    hint: a label of what a genrule makes wants that rule in Workspace(rules=[…])"
    )


def test_what_another_rule_made_is_a_source(world: World) -> None:
    made = world.store.put_bytes(b"made", "text/plain")
    each = job("cp", "{srcs}", "{out}/o", made=[{"dep": "src:0", "output": "x"}])
    each = Job(each.action, {"src:0": ActionResult(outputs={"x": made})})
    assert text_of(run(each, world), world) == "made"


def test_what_other_rules_made_keeps_its_name_in_every_checkout(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    said = []
    for name in ("one", "another"):
        world = world_at(tmp_path / name)
        # Its folder may be a link, and `..` leads from where that leads to.
        Path(world.root, "a/b").mkdir(parents=True)
        Path(world.root, "gen").symlink_to("a/b")
        blobs = [world.store.put_bytes(text, "text/plain") for text in (b"one ", b"two ")]
        wanted = [{"dep": f"src:{n}", "output": "sub/x.json"} for n in range(2)]
        each = job("sh", "-c", 'echo $(cat "$@") "$@" > "$0"', "{out}/o", "{srcs}", made=wanted)
        deps = {f"src:{n}": ActionResult(outputs={"sub/x.json": b}) for n, b in enumerate(blobs)}
        said.append(text_of(run(Job(each.action, deps), world), world).split())
        assert os.listdir(os.path.join(world.scratch, "tmp")) == []
        assert [world.store.read(blob.digest) for blob in blobs] == [b"one ", b"two "]
    place = said[0][2].removesuffix("/0/sub/x.json")
    assert place.startswith("../../.scratch/tmp/")
    assert said == [["one", "two", f"{place}/0/sub/x.json", f"{place}/1/sub/x.json"]] * 2


def test_it_tells_which_of_its_files_are_programs(world: World) -> None:
    script = 'cd "$0"; touch a b c; chmod 700 a; chmod 655 b; chmod 4111 c'
    outcome = run(job("sh", "-c", script, "{out}", outs=("a", "b", "c")), world)
    assert isinstance(outcome, Done)
    assert outcome.facts == {"modes": {"a": 0o755, "b": 0o644, "c": 0o755}}


NO_FILE = (
    "//gen:r: what it wrote as 'o' is no file\n"
    "    hint: copy what a link leads to; name each file of a folder in outs"
)


@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        (("false",), "//gen:r: false exited with 1"),
        (("true",), "//gen:r: it did not write 'o'\n    hint: write it into {out}"),
        (("mkdir", "{out}/o"), NO_FILE),
        (("ln", "-s", "/etc/passwd", "{out}/o"), NO_FILE),
        (("no-such-program",), "//gen:r: program 'no-such-program' is not on PATH"),
    ],
)
def test_failures(cmd: tuple[str, ...], message: str, world: World) -> None:
    outcome = run(job(*cmd), world)
    assert isinstance(outcome, ScratchError)
    assert str(outcome) == message
    assert os.listdir(os.path.join(world.scratch, "tmp")) == []


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (
            "#!/nowhere/sh\n",
            0,
            "cannot be run: no such file or directory\n    hint: is it installed, on PATH?",
        ),
        ("#!/bin/sh\n", 1, "cannot be started: argument list too long"),
    ],
)
def test_a_program_that_cannot_be_started_is_that_of_a_rule(
    text: str, words: int, message: str, world: World
) -> None:
    program = Path(world.root, "gen", "make")
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(0o755)
    outcome = run(job("./make", *("x" * 200_000,) * words), world)
    assert isinstance(outcome, ScratchError)
    assert str(outcome) == f"//gen:r: ./make {message}"


def test_the_bytes_of_the_program_are_key_material(world: World) -> None:
    program = Path(world.root, "gen", "make")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 1 > $1\n")
    program.chmod(0o755)
    each = job("./make", "{out}/o")
    assert text_of(run(each, world), world) == "1\n"
    before = Genrule().identity(each, world)
    program.write_text("#!/bin/sh\necho 2 > $1\n")
    world.files.forget_scan()
    assert Genrule().identity(each, world) != before


def test_files_that_the_command_names_are_inputs(world: World, tmp_path: Path) -> None:
    Path(world.root, "gen").mkdir()
    Path(world.root, "gen", "make.py").write_text("")
    Path(world.root, "shared.json").write_text("{}")
    outside = tmp_path / "outside.txt"
    outside.write_text("")
    words = ["./make.py", "--in=../shared.json", str(outside), "missing.py", "..", "{out}/o", "=\0"]
    each = job("python3", *words, f"{world.root}/gen/make.py")
    assert set(Genrule().inputs(each, world)) == {
        Input(kind, path)
        for path in ("gen/make.py", "shared.json", str(outside))
        for kind in ("file", "mode")
    }


@pytest.mark.parametrize("length", [300, 5000])
def test_a_word_that_is_too_long_for_a_path(length: int, world: World) -> None:
    script = f"# {'x' * length}\necho a > $0"
    each = job("sh", "-c", script, "{out}/o")
    Path(world.root, "gen").mkdir()
    assert list(Genrule().inputs(each, world)) == []
    assert text_of(run(each, world), world) == "a\n"


def test_a_program_of_ones_own_that_is_not_there(world: World) -> None:
    outcome = run(job("./missing"), world)
    assert isinstance(outcome, ScratchError)
    assert "missing" in str(outcome)


def test_environment_with_an_empty_mapping(world: World) -> None:
    env: Mapping[str, str] = {}
    assert (
        text_of(run(job("sh", "-c", 'echo "$HOME." > "$0"', "{out}/o", env=env), world), world)
        == ".\n"
    )


def test_whether_a_source_is_a_program_counts(world: World) -> None:
    source = Path(world.root, "gen", "tool")
    source.parent.mkdir()
    source.write_text("")
    before = run(job("cp", "{srcs}", "{out}/o", srcs=["tool"]), world)
    assert isinstance(before, Done)
    observed = world.files.observe_all(before.inputs)
    source.chmod(0o755)
    world.files.forget_scan()
    after = run(job("cp", "{srcs}", "{out}/o", srcs=["tool"]), world)
    assert isinstance(after, Done)
    assert after.facts != before.facts
    assert world.files.observe_all(before.inputs) != observed
