"""One call of `cargo build`, and what came of each binary it was asked for."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import key_of
from scratchtasks.core.frozen import dataclass

from ..operation import World
from ..process import Finished, without_passwords
from . import offline
from .config import config_files, is_set, linking, variables
from .ctools import CTools, c_variables
from .declared import env_inputs
from .depinfo import input_path
from .environment import cargo_home, color_flags, compiling_env, fetching_env, given_env
from .freshness import TargetFolder
from .linked import Linked, linked_by
from .sources import (
    is_silent,
    local_sources,
    named_by_cargo,
    named_by_rustc,
    named_by_script,
    output_of,
    paths_through_links,
    rivals,
)
from .toolchain import Rust, Target
from .vendored import vendored_inputs
from .wrappers import rustc_wrapper

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """A finished *executable*, the local *files* it was made of, and the *folders* of which any
    file may have been; all absolute paths.  *env* are variables of the user's that it may know."""

    executable: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    env: frozenset[Input]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything that compiles: *rust* for *target*, and *tools* for C; *digest* is that of
    rust's files."""

    rust: Rust
    digest: str
    target: Target
    tools: CTools


class CargoCall:
    """Builds *crates* (facts of the metadata probe), of one cargo workspace, with *kit*.

    *cwd* is where cargo starts, *flags* its features, *env* what the user's own crates see.  All
    crates share one target folder, which outlives `doit clean`; hold its lock while `run` runs
    and its result is read.
    """

    def __init__(
        self,
        world: World,
        kit: Kit,
        crates: Sequence[Mapping[str, Any]],
        cwd: str,
        flags: Sequence[str],
        env: Mapping[str, str],
    ) -> None:
        self._world, self._kit, self._cwd, self._flags = world, kit, cwd, flags
        self._crates, self._given = crates, env
        self._configs = config_files(cwd, cargo_home(world))
        self._wrapper = rustc_wrapper(world, kit.rust)
        self._names: dict[str, str] = {
            folder: name for crate in crates for name, _, folder in crate["packages"]
        }
        # rustc starts in the workspace's root, but for packages outside of it in their own.
        self._workspace = os.path.normpath(os.path.join(world.root, crates[0]["workspace"]))
        own = (os.path.normpath(os.path.join(world.root, folder)) for folder in self._names)
        self._places = sorted({self._workspace, *own})
        # cargo does not notice when these change, so another state of them is another folder.
        vendored = {folder for crate in crates for folder in crate["vendored"]}
        states = world.files.observe_all(vendored_inputs(sorted(vendored), world))
        key = key_of(
            crates[0]["workspace"],
            os.path.basename(self._wrapper),
            sorted(states.values()),
            kit.digest,
            kit.target.identity,
            kit.tools.identity,
        )
        # Not so for *env*: a commit's name in it would leave a folder behind with each commit.
        path = os.path.join(world.scratch, "cargo", key[:16])
        self.folder = TargetFolder(path, key_of(dict(env), variables(self._configs)))

    def run(self) -> list[Made | None]:
        """One answer for each crate, in order: None where it did not compile."""
        before = self.folder.clock()
        # Cargo takes what has a library in it for fresh, whatever became of that.
        self.folder.clear_if_moved(_paths(self._linked_by(self.folder.outputs())))
        try:
            return self._run(before)
        finally:
            self.folder.remember_linked(_paths(self._linked_by(self.folder.outputs())), before)

    def _run(self, before: int) -> list[Made | None]:
        distrusted = self.folder.distrust_changed(self._names.values())
        code, messages = self._build(self._crates)
        if any(self._name(m) in distrusted and m.get("fresh") for m in messages):
            # A cargo that keeps its fingerprints elsewhere.
            self.folder.clear()
            code, messages = self._build(self._crates)
        made = [_executable(crate, messages, self._world.root) for crate in self._crates]
        good = [crate for crate, path in zip(self._crates, made, strict=True) if path]
        if code and good:
            # Dep files are written only when all is well.
            code, messages = self._build(good, show=False)
        if code or not good:
            self.folder.remember({}, before)
            return [None] * len(self._crates)
        outputs = [output_of(folder) for folder in _out_dirs(messages)]
        env = env_inputs(self.folder.path, outputs)
        linked = self._linked_by(outputs)
        leads = paths_through_links(self.folder.path, self._workspace, cargo_home(self._world))
        results: list[Made | None] = [
            self._made(crate, path, messages, leads, linked, env) if path else None
            for crate, path in zip(self._crates, made, strict=True)
        ]
        self._remember(results, before)
        return results

    def _linked_by(self, outputs: Iterable[str]) -> Linked:
        says = (*outputs, *linking(self._configs))
        return linked_by(says, self._places, self._world.root, self._world.scratch)

    def _made(
        self,
        crate: Mapping[str, Any],
        path: str,
        messages: Sequence[Message],
        leads: Mapping[str, str],
        linked: Linked,
        env: frozenset[Input],
    ) -> Made:
        files, folders = self._sources(crate, path, messages)
        known = frozenset(files)
        files = (*files, *sorted(link for link, real in leads.items() if real in known))
        return Made(path, (*files, *linked.files), (*folders, *linked.folders), env)

    def _build(
        self, crates: Sequence[Mapping[str, Any]], show: bool = True
    ) -> tuple[int, list[Message]]:
        argv = [
            *(self._kit.rust.cargo, "build", "--release", "--locked", "--offline", "--quiet"),
            *("--message-format", "json-render-diagnostics"),
            *("--target", self._kit.target.triple, "--target-dir", self.folder.path),
            # Dep files would have paths from which this folder is taken off: one that has nothing.
            *("--config", 'build.dep-info-basedir="/none"'),
            *color_flags(self._world),
            *self._flags,
        ]
        for crate in crates:
            argv += ["-p", f"{crate['package']}@{crate['version']}", "--bin", crate["bin"]]
        if len(crates) > 1:
            argv.append("--keep-going")
        env = self._env()
        done = self._start(argv, env)
        if done.code and offline.is_refused(done.stderr) and not self._world.is_offline:
            self._fetch()
            done = self._start(argv, env)
        if show:
            self._world.processes.show(without_passwords(done.stderr))
        return done.code, [
            json.loads(line) for line in done.stdout.splitlines() if line[:1] == b"{"
        ]

    def _fetch(self) -> None:
        """Have the crates there: who knew of them from a cache has not fetched them.

        A call of its own, because nothing that is compiled is to see what fetching needs.
        """
        rust, target = self._kit.rust, self._kit.target
        argv = [rust.cargo, "fetch", "--locked", "--quiet"]
        for triple in dict.fromkeys((target.triple, rust.host)):
            argv += ["--target", triple]
        done = self._start(argv, fetching_env(self._world))
        self._world.processes.show(without_passwords(done.stderr))

    def _start(self, argv: Sequence[str], env: Mapping[str, str]) -> Finished:
        return self._world.processes.run(argv, cwd=self._cwd, env=env, show_stderr=False)

    def _env(self) -> dict[str, str]:
        target = self._kit.target
        files = self._configs
        env = {
            **given_env(self._given),
            **compiling_env(self._world),
            "RUSTC": self._kit.rust.rustc,
            "RUSTC_WRAPPER": self._wrapper,
            "RUSTC_WORKSPACE_WRAPPER": "",
            "CARGO_BUILD_BUILD_DIR": self.folder.path,
            "CARGO_PROFILE_RELEASE_STRIP": "symbols",
            # Incremental compilation splits a crate as its history was.
            "CARGO_INCREMENTAL": "0",
            "SOURCE_DATE_EPOCH": str(self._world.epoch),
        }
        if target.linker and not is_set(files, "target", target.triple, "linker"):
            env[f"CARGO_TARGET_{target.triple.upper().replace('-', '_')}_LINKER"] = target.linker
        for name, value in c_variables(self._world, target, self._kit.tools).items():
            if not is_set(files, "env", name):
                env[name] = value
        return env

    def _name(self, message: Message) -> str:
        """The name of the local package that an artifact *message* is about, else ""."""
        manifest = str(message.get("manifest_path", ""))
        return self._names.get(input_path(os.path.dirname(manifest), self._world.root), "")

    def _sources(
        self, crate: Mapping[str, Any], executable: str, messages: Sequence[Message]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        root, named = self._world.root, named_by_cargo(executable)
        own = _folders(crate, root)
        hidden = own.keys() - {_home(path, own, root) for path in named}
        silent, places = set[str](), dict[str, str]()
        for message in messages:
            if message["reason"] == "compiler-artifact":
                folder = os.path.dirname(message["manifest_path"])
                place = places[message["package_id"]] = _plain(folder, root)
                if place in hidden:
                    for path in message["filenames"]:
                        named += named_by_rustc(path, self._workspace)
        for message in messages:
            place = places.get(message.get("package_id", ""), "")
            if message["reason"] == "build-script-executed" and place in own:
                if is_silent(message["out_dir"]):
                    silent.add(place)
                elif place in hidden:
                    named += named_by_script(message["out_dir"], place)
        return local_sources(
            named, silent, (self._world.scratch, os.path.join(self._world.root, "dist"))
        )

    def _remember(self, results: Sequence[Made | None], before: int) -> None:
        files: dict[str, set[str]] = {}
        for crate, made in zip(self._crates, results, strict=True):
            for name, paths in _by_package(crate, made, self._world.root):
                files.setdefault(name, set()).update(paths)
        self.folder.remember(files, before)


def _out_dirs(messages: Iterable[Message]) -> Iterator[str]:
    return (m["out_dir"] for m in messages if m["reason"] == "build-script-executed")


def _paths(linked: Linked) -> frozenset[str]:
    return linked.files | linked.folders


def _executable(crate: Mapping[str, Any], messages: Sequence[Message], root: str) -> str:
    """The path of *crate*'s binary among what cargo says it made; "" when it is not."""
    folders = {
        folder
        for name, version, folder in crate["packages"]
        if (name, version) == (crate["package"], crate["version"])
    }
    for message in messages:
        if (
            message.get("executable")
            and message["target"]["name"] == crate["bin"]
            and "bin" in message["target"]["kind"]
            and input_path(os.path.dirname(message["manifest_path"]), root) in folders
        ):
            return str(message["executable"])
    return ""


def _by_package(
    crate: Mapping[str, Any], made: Made | None, root: str
) -> Iterator[tuple[str, list[str]]]:
    """Each local package of *crate* with those files and folders of *made*, there or looked for in
    vain, that count for it.

    Each belongs to the package it lies deepest in; one outside of all counts for all.
    """
    if made is None:
        return
    places = _folders(crate, root)
    owned: dict[str, list[str]] = {name: [] for name in places.values()}
    for path in (*made.files, *made.folders, *rivals(made.files)):
        home = _home(path, places, root)
        for name in [places[home]] if home else owned:
            owned[name].append(path)
    yield from owned.items()


def _folders(crate: Mapping[str, Any], root: str) -> dict[str, str]:
    """The absolute folders of *crate*'s local packages, with their names."""
    return {os.path.normpath(os.path.join(root, f)): name for name, _, f in crate["packages"]}


def _home(path: str, places: Iterable[str], root: str) -> str:
    """The deepest of *places* that *path* lies in, "" for none."""
    plain = _plain(path, root)
    homes = (place for place in places if plain.startswith(place.rstrip("/") + "/"))
    return max(homes, key=len, default="")


def _plain(path: str, root: str) -> str:
    """*path*, absolute, by the name that *root* has here."""
    return os.path.normpath(os.path.join(root, input_path(path, root)))
