"""Structure tests on a finished image: files and config are read, only commands are run.

Source: container-structure-test 1.19, pkg/types/v2 and pkg/drivers/docker_driver.go.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scratchtasks.core.go_regex import compile_go
from scratchtasks.core.structure import (
    CommandTest,
    ContentTest,
    ExistenceTest,
    Expected,
    MetadataTest,
    StructureTest,
)
from scratchtasks.core.target import Smoke

from .contents import Contents, Entry
from .matching import first_matches
from .trial import Outcome, Trial, faults_of, text_of

_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|\{|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?0-9-]))")
_EXECUTABLE = {"any": 0o111, "owner": 0o100, "group": 0o010, "other": 0o001}


def structure_faults(
    test: StructureTest, base: Trial, contents: Contents, run: Callable[[Trial], Outcome]
) -> Iterator[tuple[str, list[str]]]:
    """The name of each test in *test*, and in plain words what was wrong.

    *base* is a trial of the image, from which those of commands are made; *run* runs them.

    Raises: whatever *run* raises; SinkError, StoreError (an image that is not whole); Endless.
    """
    for command in test.commands:
        trial = trial_of_command(command, test, base, contents)
        yield command.name, _output_faults(command, trial, run(trial))
    for content in test.contents:
        yield content.name, _content_faults(content, contents)
    for existence in test.existence:
        yield existence.name, _existence_faults(existence, _env_of(test, base), contents)


def metadata_faults(test: MetadataTest, config: bytes) -> list[str]:
    """Where the image's *config* (JSON) is not as *test* wants it.  Raises: Endless."""
    runtime: dict[str, Any] = json.loads(config).get("config") or {}
    env = dict(item.partition("=")[::2] for item in runtime.get("Env") or ())
    ports = [port.partition("/")[0] for port in runtime.get("ExposedPorts") or ()]
    volumes = [*(runtime.get("Volumes") or ())]
    faults = [*_pair_faults("variable", test.env, env)]
    faults += [f"variable {name}: wanted none, got {env[name]!r}" for name in test.unset
               if name in env]  # fmt: skip
    faults += _pair_faults("label", test.labels, runtime.get("Labels") or {})
    for word, wanted, got in (
        ("entrypoint", test.entrypoint, runtime.get("Entrypoint") or []),
        ("cmd", test.cmd, runtime.get("Cmd") or []),
    ):
        if wanted is not None and list(wanted) != got:
            faults.append(f"{word}: wanted {list(wanted)}, got {got}")
    for word, text, got in (
        ("workdir", test.workdir, runtime.get("WorkingDir", "")),
        ("user", test.user, runtime.get("User", "")),
    ):
        if text and text != got:
            faults.append(f"{word}: wanted {text!r}, got {got!r}")
    for word, there, absent, found in (
        ("port", test.ports, test.not_ports, ports),
        ("volume", test.volumes, test.not_volumes, volumes),
    ):
        shown = ", ".join(sorted(found)) or "none"
        faults += [f"{word} {each}: not among {shown}" for each in there if each not in found]
        faults += [f"{word} {each}: wanted none" for each in absent if each in found]
    return faults


def trial_of_command(
    test: CommandTest, file: StructureTest, base: Trial, contents: Contents
) -> Trial:
    """What *test* of *file* runs: as container-structure-test does it in Docker."""
    image_env = _env_of(file, base)
    setup_env = {**image_env, **{name: expand(value, image_env) for name, value in test.env}}

    def made(argv: Sequence[str], env: Mapping[str, str]) -> Trial:
        definition = Smoke(
            command=tuple(argv),
            exit_code=test.exit_code,
            timeout_seconds=base.definition.timeout_seconds,
            read_only=base.definition.read_only,
        )
        program = _on_path(argv[0], env.get("PATH", ""), contents)
        return replace(base, definition=definition, argv=(program, *argv[1:]), env=env)

    before = tuple(made(argv, setup_env) for argv in test.setup)
    argv = [expand(word, setup_env if before else image_env) for word in (test.command, *test.args)]
    env = {**(setup_env if before else image_env), **dict(test.env)}
    return replace(made(argv, env), before=before)


def _env_of(file: StructureTest, base: Trial) -> dict[str, str]:
    """The image's variables with those of all of *file* among them."""
    return {**base.env, **{name: expand(value, base.env) for name, value in file.env}}


def expand(text: str, env: Mapping[str, str]) -> str:
    """*text* with `$NAME` and `${NAME}` replaced; unknown ones by nothing, as Go does it."""
    return _VARIABLE.sub(lambda found: env.get(found[1] or found[2] or "", ""), text)


def _on_path(program: str, path: str, contents: Contents) -> str:
    """The file that *program* without a slash means; itself, when there is none."""
    if "/" in program:
        return program
    for folder in path.split(":"):
        found = contents.find(f"{folder}/{program}", follow=True)
        if found is not None and found[1].kind == "file" and found[1].mode & 0o111:
            return f"{folder.rstrip('/')}/{program}"
    return program


def _output_faults(test: CommandTest, trial: Trial, outcome: Outcome) -> list[str]:
    faults = faults_of(trial, outcome)
    if outcome.refusal:
        return faults
    for name, output, wanted, unwanted in (
        ("stdout", outcome.stdout, test.stdout, test.not_stdout),
        ("stderr", outcome.stderr, test.stderr, test.not_stderr),
    ):
        faults += _pattern_faults(name, text_of(output), wanted, unwanted)
    return faults


def _content_faults(test: ContentTest, contents: Contents) -> list[str]:
    found = contents.find(test.path, follow=True)
    if found is None:
        return [f"{test.path}: there is no such file"]
    if found[1].kind != "file":
        return [f"{test.path}: wanted a file, got a folder"]
    text = text_of(contents.read(found[1]))
    return _pattern_faults(test.path, text, test.contents, test.not_contents)


def _existence_faults(test: ExistenceTest, env: Mapping[str, str], contents: Contents) -> list[str]:
    path = expand(test.path, env)
    found = contents.find(path, follow=False)
    if not test.should_exist:
        return [] if found is None else [f"{path}: wanted none, got {found[1].shown_mode}"]
    if found is None:
        return [f"{path}: there is no such file"]
    return _rights_faults(test, path, found[1])


def _rights_faults(test: ExistenceTest, path: str, entry: Entry) -> list[str]:
    faults = []
    shown = entry.shown_mode
    if test.permissions and test.permissions != shown:
        faults.append(f"{path}: permissions: wanted {test.permissions}, got {shown}")
    if test.executable_by and not entry.mode & _EXECUTABLE[test.executable_by]:
        faults.append(f"{path}: wanted executable by {test.executable_by}, got {shown}")
    for name, wanted, got in (("uid", test.uid, entry.uid), ("gid", test.gid, entry.gid)):
        if wanted not in (-1, got):
            faults.append(f"{path}: {name}: wanted {wanted}, got {got}")
    return faults


def _pattern_faults(
    name: str, text: str, wanted: Sequence[str], unwanted: Sequence[str]
) -> list[str]:
    got = repr(text) if len(text) <= 80 else f"{len(text)} characters"
    found = _matches([(pattern, text) for pattern in (*wanted, *unwanted)])
    faults = [
        f"{name}: wanted a match of {pattern!r}, got {got if text else 'nothing'}"
        for pattern, match in zip(wanted, found, strict=False)
        if match is None
    ]
    faults += [
        f"{name}: wanted no match of {pattern!r}, got {match!r}"
        for pattern, match in zip(unwanted, found[len(wanted) :], strict=True)
        if match is not None
    ]
    return faults


def _matches(searches: Sequence[tuple[str, str]]) -> list[str | None]:
    return first_matches(searches, lambda pattern: compile_go(pattern).pattern)


def _pair_faults(word: str, wanted: Sequence[Expected], found: Mapping[str, str]) -> Iterator[str]:
    for each in wanted:
        got = found.get(each.key)
        if got is None:
            yield f"{word} {each.key}: there is none"
        elif each.is_regex and _matches([(each.value, got)]) == [None]:
            yield f"{word} {each.key}: wanted a match of {each.value!r}, got {got!r}"
        elif not each.is_regex and each.value != got:
            yield f"{word} {each.key}: wanted {each.value!r}, got {got!r}"
