"""cargo_metadata: what one Rust binary is made of, so that nothing else touches its key."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed, ConfigError, NotInStore, StageError

from ..globs import match
from ..operation import Done, Job, Outcome, World, each_beside
from ..process import without_passwords
from . import closure as made_of
from . import offline
from .config import ancestors, config_files, split_inputs
from .depinfo import input_path
from .environment import cargo_home, fetching_env
from .toolchain import TOOLCHAIN_FILES, Rust, find_rust, find_target
from .vendored import manifest_inputs, vendored_folders

_ROOT_NAMES = "build.rs|src|Cargo.toml"
_SRC_NAMES = "lib.rs|main.rs|bin"


class CargoMetadata:
    """Runs `cargo metadata` and `cargo tree`; see `_Probe.facts` for the answer.

    params: `folder`, `crate` (relative to it), `bin`, `features`, `default_features`.
    """

    version = 4

    def identity(self, job: Job, world: World) -> Json:
        rust, triple = toolchain_of(job, world)
        return {"rust": rust.identity, "triple": triple, "outside": _steering(job, world)[1]}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        folder = crate_folder(job, world)
        name = input_path(folder, world.root)
        return (
            *_steering(job, world)[0],
            Input("names", name, _ROOT_NAMES),
            Input("names", os.path.join(name, "src"), _SRC_NAMES),
            Input("names", os.path.join(name, "src/bin"), "*"),
        )

    def batch_key(self, job: Job, world: World) -> str:
        """All at once: cargo keeps one core busy, and answers about one crate."""
        return "cargo"

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_beside(jobs, lambda job: _Probe(job, world).done())


def crate_folder(job: Job, world: World) -> str:
    """The absolute folder with the crate's Cargo.toml.  Raises: ConfigError without one."""
    params = job.action.params
    path = os.path.join(world.root, str(params["folder"]), str(params["crate"]))
    folder = os.path.normpath(path)
    if not os.path.isfile(os.path.join(folder, "Cargo.toml")):
        name = os.path.join(input_path(folder, world.root), "Cargo.toml")
        hint = "binary.crate is the folder that has it, relative to the service's"
        raise ConfigError(job.where, f"there is no {os.path.normpath(name)}", hint)
    return folder


def toolchain_of(job: Job, world: World) -> tuple[Rust, str]:
    """The toolchain and the target triple for *job*.  Raises: ConfigError, ToolchainMissing."""
    assert job.action.platform is not None
    rust = find_rust(world, crate_folder(job, world), job.where)
    return rust, find_target(world, rust, job.action.platform, job.where).triple


def feature_flags(job: Job) -> list[str]:
    """The features of *job* as cargo's arguments."""
    params: Mapping[str, Any] = job.action.params
    flags = ["--features", ",".join(params["features"])] if params["features"] else []
    return flags if params["default_features"] else [*flags, "--no-default-features"]


def _steering(job: Job, world: World) -> tuple[list[Input], list[Json]]:
    """The manifests that may be the workspace's root, and cargo's configuration."""
    folder = crate_folder(job, world)
    manifests = [os.path.join(place, "Cargo.toml") for place in ancestors(folder)]
    return split_inputs((*manifests, *config_files(folder, cargo_home(world))), world)


class _Probe:
    """One look at one crate."""

    def __init__(self, job: Job, world: World) -> None:
        self._job, self._world = job, world
        self._folder = crate_folder(job, world)
        self._rust, self._triple = toolchain_of(job, world)

    def done(self) -> Done:
        """Raises: ActionFailed, ConfigError."""
        flags = ["--locked", *feature_flags(self._job)]
        # Build scripts and macros are made for the host.
        metadata = json.loads(
            self._cargo("metadata", "--format-version=1", "--filter-platform", self._triple,
                        "--filter-platform", self._rust.host, *flags)
        )  # fmt: skip
        tree = made_of.parse_tree(
            self._cargo("tree", "--target", self._triple, "-e", "normal,build",
                        "--prefix", "none", "-f", "{p}|{f}", *flags)
        )  # fmt: skip
        package = made_of.root_package(
            metadata, os.path.join(self._folder, "Cargo.toml"), self._job.where
        )
        closure = made_of.closure_of(metadata, tree)
        workspace = metadata["workspace_root"]
        facts = self._facts(workspace, package, closure, tree)
        inputs = (*self._read(workspace, closure), *self._members(metadata))
        return Done(outputs={}, facts=facts, inputs=tuple(dict.fromkeys(inputs)))

    def _facts(
        self,
        workspace: str,
        package: made_of.Package,
        closure: Sequence[made_of.Package],
        tree: Sequence[tuple[str, str, str]],
    ) -> dict[str, Any]:
        """Nothing here may name this machine, or change with what the binary does not use."""
        root, params = self._world.root, self._job.action.params
        own = [_manifest(p["manifest_path"]) for p in closure if p["source"] is None]
        lock = _manifest(os.path.join(workspace, "Cargo.lock"))
        return {
            "package": package["name"],
            "version": package["version"],
            "bin": made_of.pick_bin(package, str(params["bin"]), self._job.where),
            "bins": made_of.bins_of(package),
            "workspace": input_path(workspace, root),
            "features": [list(line) for line in tree],
            "packages": made_of.local_packages(closure, root),
            "vendored": vendored_folders(closure, root, cargo_home(self._world)),
            "lock": made_of.lock_entries(lock, tree),
            "root": made_of.root_parts(_manifest(os.path.join(workspace, "Cargo.toml")), own),
            "other_roots": self._other_roots(workspace, closure),
            "c": made_of.c_need(closure),
            "steered": self._is_steered(workspace),
        }

    def _other_roots(self, workspace: str, closure: Iterable[made_of.Package]) -> dict[str, Any]:
        """What packages inherit that belong to another workspace, by their folders."""
        found: dict[str, Any] = {}
        for package in closure:
            if package["source"] is None:
                path = self._roots_of(package)[-1]
                root, own = _manifest(path), _manifest(package["manifest_path"])
                if "workspace" in root and os.path.dirname(path) != workspace:
                    folder = made_of.package_folder(package, self._world.root)
                    found[folder] = made_of.inherited_parts(root, [own])
        return found

    def _roots_of(self, package: made_of.Package) -> list[str]:
        """The manifests that may be the root of the local *package*'s workspace, there or not,
        up to the one that is; above the user's workspace they count as `_steering` has them."""
        folder, root = os.path.dirname(package["manifest_path"]), self._world.root
        named = _manifest(package["manifest_path"]).get("package", {}).get("workspace")
        if isinstance(named, str):
            return [os.path.normpath(os.path.join(folder, named, "Cargo.toml"))]
        is_inside = not os.path.isabs(made_of.package_folder(package, root))
        found: list[str] = []
        for place in ancestors(folder):
            if found and is_inside and os.path.isabs(input_path(place, root)):
                break
            found.append(os.path.join(place, "Cargo.toml"))
            if "workspace" in _manifest(found[-1]):
                break
        return found

    def _is_steered(self, workspace: str) -> bool:
        """Whether cargo started at the workspace's root would miss what steers this crate."""
        names = (*TOOLCHAIN_FILES, ".cargo/config.toml", ".cargo/config")
        for place in ancestors(self._folder):
            if os.path.realpath(place) == os.path.realpath(workspace):
                return False
            if any(os.path.lexists(os.path.join(place, name)) for name in names):
                return True
        return True  # the root is not above the crate at all

    def _read(self, workspace: str, closure: Iterable[made_of.Package]) -> list[Input]:
        root = self._world.root
        files = [os.path.join(workspace, name) for name in ("Cargo.toml", "Cargo.lock")]
        inputs = [Input("file", input_path(path, root)) for path in files]
        for package in closure:
            if package["source"] is None:
                folder = made_of.package_folder(package, root)
                inputs += package_inputs(folder)
                roots = self._roots_of(package)
                inputs += (Input("file", input_path(path, root)) for path in roots)
        for folder in vendored_folders(closure, root, cargo_home(self._world)):
            inputs += manifest_inputs(folder)
        return inputs

    def _members(self, metadata: Mapping[str, Any]) -> Iterator[Input]:
        """What tells of all members of the workspace, and where more may come from: cargo builds
        none while one is broken, or Cargo.lock does not fit it."""
        workspace, root = metadata["workspace_root"], self._world.root
        for package in made_of.members_of(metadata):
            yield from package_inputs(made_of.package_folder(package, root))
        named = _manifest(os.path.join(workspace, "Cargo.toml")).get("workspace", {})
        for sign in named.get("members", ()):
            with suppress(StageError):  # what cargo finds by other rules is a member above
                folder, manifest = input_path(workspace, root), os.path.join(sign, "Cargo.toml")
                yield from match(root, folder, [manifest], self._job.where).inputs

    def _cargo(self, *arguments: str) -> str:
        done = self._world.processes.run(
            [self._rust.cargo, *arguments, "--quiet"],
            cwd=self._folder,
            env={**fetching_env(self._world), "RUSTC": self._rust.rustc},
            show_stderr=False,
        )
        if done.code and self._world.is_offline and offline.is_refused(done.stderr):
            raise self._lacking()
        self._world.processes.show(without_passwords(done.stderr))
        if done.code:
            hint = ""
            if b"--locked" in done.stderr or b"lock file" in done.stderr:
                hint = "run `cargo generate-lockfile` or `cargo update -w`, and commit Cargo.lock"
            raise ActionFailed(self._job.where, f"cargo {arguments[0]} failed", hint)
        return done.stdout.decode("utf-8", "surrogateescape")

    def _lacking(self) -> NotInStore:
        package = _manifest(os.path.join(self._folder, "Cargo.toml")).get("package", {})
        locks = (os.path.join(place, "Cargo.lock") for place in ancestors(self._folder))
        lock = next(filter(os.path.isfile, locks), "")
        home = cargo_home(self._world)
        return offline.lacking(self._job.where, package.get("name", ""), _manifest(lock), home)


def package_inputs(folder: str) -> list[Input]:
    """What tells which targets the package in *folder* has, and what they depend on."""
    return [
        Input("file", os.path.join(folder, "Cargo.toml")),
        Input("names", folder, _ROOT_NAMES),
        Input("names", os.path.join(folder, "src"), _SRC_NAMES),
    ]


def _manifest(path: str) -> dict[str, Any]:
    import tomli

    try:
        with open(path, "rb") as file:
            return tomli.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(path, f"cannot be read: {error}") from None
