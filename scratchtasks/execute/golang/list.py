"""GoList: what a Go program is made of, as Go itself sees it.

Its facts name all that can reach the binary's bytes, and nothing else.  So a change that go.mod
shares with other programs makes this run again, gives equal facts, and compiles nothing.
"""

import os
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json, canonical_json
from scratchtasks.core.errors import ActionFailed, ScratchError

from ..operation import Done, Job, Outcome, World
from ..process import Finished
from . import offline
from .embed import embedded_listings
from .environment import fit_to_show, go_env
from .index import NAMES, WITHOUT, may_lie
from .packages import FIELDS, Package, closure_of, errors_of, read_packages, standard_of, with_swig
from .place import Place, as_inputs, find_place, nested_modules, outside, shown, steering_files
from .toolchain import find_go

_TOO_OLD = re.compile(rb"requires go >= ([\w.]+) \(running")

_NONE: Mapping[str, str] = MappingProxyType({})


class GoList:
    """Operation `go_list`.

    params: `folder` (relative to the root), `package` (relative to *folder*), `tags` (list).
    facts: `import_path`, `exec_name`, `root` (where to run go), `work`, `package_arg`, `mod`,
    `modules` (rows of path, version, sum and those of a replacement), `packages`, `godebug`,
    `lang` (Go version per module), `inputs` (the local files of the closure), `standard` (the
    packages of the standard library in it, separated by blanks).
    """

    version: int = 4

    def identity(self, job: Job, world: World) -> Json:
        """The toolchain, and a go.work from outside.  Raises: ToolchainMissing."""
        return {"go": find_go(world).identity, **outside(world)}

    def inputs(self, job: Job, world: World) -> tuple[Input, ...]:
        """Nothing: only Go knows, and what it said last time is remembered."""
        return ()

    def batch_key(self, job: Job, world: World) -> str:
        """One go command: same folder, go.work, platform, tags.  Raises: ActionFailed."""
        place = find_place(job, world)
        return _text([place.cwd, place.work, place.mod, str(job.action.platform), _tags(job)])

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        """One `go list` for all *jobs*, which share a batch key."""
        outcomes: dict[str, Outcome] = {}
        places: dict[str, Place] = {}
        for job in jobs:
            try:
                places[job.action.name] = find_place(job, world)
            except ScratchError as error:
                outcomes[job.action.name] = error
        listed = [job for job in jobs if job.action.name in places]
        if not listed:
            return outcomes
        done = _go_list(listed[0], list(places.values()), world)
        packages = _packages_in(done)
        if may_lie(package.folder for package in packages.values() if package.is_ours):
            done = _go_list(listed[0], list(places.values()), world, WITHOUT)
            packages = _packages_in(done)
        is_refused = world.is_offline and offline.is_refused(done.stdout + done.stderr)
        if not is_refused:
            world.processes.show(fit_to_show(done.stderr, world))
        mains: dict[str, Package] = {}
        for package in packages.values():
            for argument in package.matches:
                mains.setdefault(argument, package)
        for job in listed:
            place = places[job.action.name]
            main = mains.get(place.argument)
            lacks = _lacking(main, packages) if is_refused else []
            if lacks or (is_refused and not packages):
                outcomes[job.action.name] = offline.lacking(job, lacks, place, world)
            elif main is None:
                outcomes[job.action.name] = _not_listed(job, done.stderr)
            else:
                outcomes[job.action.name] = _outcome(job, place, main, packages, world)
        return outcomes


def _go_list(
    job: Job, places: Sequence[Place], world: World, env: Mapping[str, str] = _NONE
) -> Finished:
    platform, place = job.action.platform, places[0]
    assert platform is not None
    # With a profile, -deps would list every package once per program that has one.
    flags = ["-e", "-deps", "-pgo=off", f"-json={FIELDS}", f"-tags={_tags(job)}"]
    return world.processes.run(
        [find_go(world).path, "list", *flags, *sorted({place.argument for place in places})],
        cwd=place.cwd,
        env={**go_env(world.env, platform, place.mod, place.work, place.cwd), **env},
        show_stderr=False,
    )


def _packages_in(done: Finished) -> dict[str, Package]:
    packages = {} if done.code else read_packages(done.stdout)
    return {path: with_swig(p) if p.is_ours else p for path, p in packages.items()}


def _lacking(main: Package | None, packages: Mapping[str, Package]) -> list[str]:
    """The packages behind *main* that Go would have had to fetch."""
    closure = closure_of(main, packages) if main else []
    return [each.path for each in closure if offline.is_refused(each.error.encode())]


def _outcome(
    job: Job, place: Place, main: Package, packages: Mapping[str, Package], world: World
) -> Outcome:
    label = job.where
    closure = closure_of(main, packages)
    errors = errors_of(closure)
    if errors:
        said = fit_to_show("\n".join(errors).encode(errors="replace"), world).decode()
        return ActionFailed(label, said, _hint(errors, place, world))
    if main.name != "main":
        return ActionFailed(
            label, f"{main.path} is not a program (wanted package main, got {main.name})"
        )
    platform = job.action.platform
    assert platform is not None
    standard = standard_of(closure, packages, platform.architecture)
    return Done(
        outputs={},
        facts={**_facts(main, closure, place, world), "standard": " ".join(standard)},
        inputs=_inputs(closure, place, world),
    )


def _not_listed(job: Job, said: bytes) -> ActionFailed:
    found = _TOO_OLD.search(said)
    hint = "see Go's message"
    if found:
        hint = f"no other Go is fetched here: put Go {found[1].decode()} or newer on PATH"
    return ActionFailed(job.where, f"go list failed ({job.action.platform})", hint)


def _facts(main: Package, closure: Sequence[Package], place: Place, world: World) -> dict[str, Any]:
    sources = {path for package in closure if package.is_local for path in package.sources}
    profile = f"{main.folder}/default.pgo"
    if os.path.isfile(profile):
        sources.add(profile)
    modules = {tuple(package.module_row()) for package in closure if package.module}
    return {
        "import_path": main.path,
        "exec_name": _exec_name(main.path),
        "root": shown(place.cwd, world.root),
        "work": shown(place.work, world.root),
        "package_arg": place.argument,
        "mod": place.mod,
        "modules": [list(row) for row in sorted(modules)],
        "packages": [package.path for package in closure],
        "godebug": main.godebug,
        "lang": {
            package.module["Path"]: package.module.get("GoVersion", "")
            for package in closure
            if package.module
        },
        "inputs": [["file", shown(path, world.root), ""] for path in sorted(sources)],
    }


def _inputs(closure: Sequence[Package], place: Place, world: World) -> tuple[Input, ...]:
    files = steering_files(place, world)
    listings: set[Input] = set()
    for package in closure:
        if package.is_local:
            files.update(package.sources, package.ignored)
            module = package.module.get("Dir") or place.module
            files.update(nested_modules(package.folder, module))
            listings.add(Input("names", shown(package.folder, world.root), NAMES))
            for folder, names in embedded_listings(package.folder, package.embeds):
                listings.add(Input("names", shown(folder, world.root), names))
    return (*as_inputs(files, world), *sorted(listings))


def _exec_name(import_path: str) -> str:
    """What `go build -o folder/` calls the file.  Source: cmd/go, load.DefaultExecName."""
    parts = import_path.split("/")
    last = parts[-1]
    is_version = last[:1] == "v" and last[1:].isdecimal() and last[1] != "0" and last != "v1"
    return parts[-2] if is_version and len(parts) > 1 else last


def _hint(errors: Sequence[str], place: Place, world: World) -> str:
    asks_for_module = ("-mod=readonly", "go.sum", "go.mod", "go get", "vendor/modules.txt")
    if any(word in error for error in errors for word in asks_for_module):
        verb = "go mod vendor" if place.mod == "vendor" else "go mod tidy"
        return f"{verb} in {shown(place.module, world.root) or 'the workspace root'}"
    if any("build constraints exclude all Go files" in error for error in errors):
        return 'there is no cgo: files that import "C" do not count, nor those for other platforms'
    return ""


def _tags(job: Job) -> str:
    tags = job.action.params["tags"]
    assert isinstance(tags, Sequence)
    return ",".join(str(tag) for tag in tags)


def _text(value: Json) -> str:
    return canonical_json(value).decode("utf-8", "surrogateescape")
