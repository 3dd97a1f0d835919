"""Targets and rules → ActionGraph: labels resolved, doubles and cycles refused, nothing run."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from scratchtasks.core.frozen import dataclass

from .core.action import Action
from .core.errors import GraphError, did_you_mean
from .core.label import Label, parse_label
from .core.platform import Platform
from .core.source import FromFile, FromImage, Wheel, pin_name
from .core.source import Source as Origin
from .core.target import (
    Binary,
    CBinary,
    Declared,
    Genrule,
    GoBinary,
    Prebuilt,
    RustBinary,
    Service,
    Staged,
)
from .core.task import Task
from .rules.binary import Actions, Request, Source
from .rules.c_binary import c_binary
from .rules.essentials import Given, essential_layers
from .rules.fetch import Fetched, fetch
from .rules.genrule import genrule
from .rules.go_binary import go_binary
from .rules.image import rootfs, scratch_image
from .rules.prebuilt import prebuilt
from .rules.rust_binary import rust_binary


@dataclass(frozen=True, slots=True)
class ActionGraph:
    """All actions by `Action.name` and all tasks by name, dependencies before dependents."""

    actions: Mapping[str, Action]
    tasks: Mapping[str, Task]
    services: Mapping[str, Service]


Expand = Callable[[str, Service], str]
"""Replaces the templates of a string; *Service* gives `{name}` and the place for errors."""


def analyze(declared: Declared, expand: Expand) -> ActionGraph:
    """The graph of everything *declared*.

    Raises: GraphError for two targets of one name or label, an unknown label, or a cycle.
    """
    builder = _Builder(declared, expand)
    for rule in declared.genrules:
        builder.add_genrule(rule)
    for service in declared.services:
        builder.add_service(service)
    check_acyclic(builder.actions)
    return ActionGraph(builder.actions, builder.linked_tasks(), builder.services)


class _Builder:
    """Collects actions and tasks; each name may be taken once, shared layers excepted."""

    def __init__(self, declared: Declared, expand: Expand) -> None:
        self.expand = expand
        self.actions: dict[str, Action] = {}
        self.tasks: dict[str, Task] = {}
        self.services: dict[str, Service] = {}
        self.genrules = {str(rule.label): rule for rule in declared.genrules}
        self.task_of_action: dict[str, str] = {}
        self.origins: dict[str, str] = {}

    def add_genrule(self, rule: Genrule) -> None:
        package = f"{rule.label.package}/" if rule.label.package else ""
        self._claim(str(rule.label), rule.origin)
        name = f"rule:{package}{rule.label.name}"

        def source(text: str) -> Source:
            return self._source(text, rule.label.package, rule.origin or str(rule.label))

        self._add(name, rule.label, (genrule(rule, source),), f"run {rule.cmd[0]}")

    def add_service(self, service: Service) -> None:
        self._claim(service.name, service.origin)
        self._claim(str(service.image_label), service.origin)
        self._claim(str(service.rootfs_label), service.origin)
        if service.binaries:
            self._claim(str(service.binary_label), service.origin)
        self.services[service.name] = service
        where = service.origin or str(service.image_label)

        def source(text: str) -> Source:
            return self._source(text, service.folder, where)

        def path_of(text: str) -> str:
            found = source(text)
            if found.action:
                raise GraphError(where, f"certs.extra: wanted a file, got the genrule {text}")
            return found.path

        def expand(text: str) -> str:
            return self.expand(text, service)

        def given(origin: Origin, what: str) -> Given | None:
            match origin:
                case Wheel():
                    return None
                case FromFile():
                    return Given(name=origin.src, source=source(origin.src))
                case _:
                    made = Source(action=self.add_fetch(origin, what).name, output="file")
                    return Given(name=pin_name(origin), source=made)

        has_roots = "certs" in service.image.essentials and service.certs.public
        has_zones = "zoneinfo" in service.image.essentials
        layers = essential_layers(
            service,
            path_of,
            given(service.certs.source, "roots") if has_roots else None,
            given(service.zone_source, "zones") if has_zones else None,
        )
        for kind, action in layers.items():
            if action.name not in self.actions:
                self._add(f"layer:{action.label.name}", action.label, (action,), _LAYER_DOCS[kind])
        compiled: dict[Platform, Actions] = {}
        roots: dict[Platform, Actions] = {}
        for platform in service.image.platforms:
            made = []
            for binary in service.binaries:
                single = len(service.binaries) == 1
                label = Label(service.folder, "binary" if single else f"binary.{binary.name}")
                request = Request(
                    service=service,
                    label=label,
                    platform=platform,
                    expand=expand,
                    source=source,
                )
                steps = _binary_actions(binary, request)
                compiled[platform] = (*compiled.get(platform, ()), *steps)
                made.append((binary, steps[-1]))

            def fetched(staged: Staged, on: Platform = platform) -> Action:
                return self.add_fetch(FromImage(image=staged.image, path=staged.src), "file", on)

            roots[platform] = (rootfs(service, platform, layers, made, source, fetched),)
        if compiled:
            names = ", ".join(binary.name for binary in service.binaries)
            self._add_for_each(
                f"binary:{service.name}", service.binary_label, compiled, f"static binary {names}"
            )
        self._add_for_each(
            f"rootfs:{service.name}",
            service.rootfs_label,
            roots,
            "root file system, staged and checked",
        )
        image = scratch_image(service, [root for (root,) in roots.values()])
        platforms = ", ".join(str(platform) for platform in service.image.platforms)
        self._add(
            f"image:{service.name}",
            service.image_label,
            (image,),
            f"FROM scratch image ({platforms}) in dist/{service.name}",
        )

    def add_fetch(self, origin: Fetched, what: str, platform: Platform | None = None) -> Action:
        """The action that fetches *what* from *origin*; many may want the same."""
        action = fetch(origin, what, platform)
        if action.name not in self.actions:
            on = f" ({platform})" if platform else ""
            of = f"{origin.path} of {origin.image}{on}" if isinstance(origin, FromImage) else ""
            doc = of or f"{what} from {pin_name(origin)}"
            self._add(f"fetch:{action.label.name}", action.label, (action,), doc)
        return action

    def _add(self, name: str, label: Label, actions: Actions, doc: str) -> None:
        for action in actions:
            self.actions[action.name] = action
            self.task_of_action[action.name] = name  # of one with parts and a part: the part
        names = tuple(action.name for action in actions)
        self.tasks[name] = Task(name=name, label=label, doc=doc, actions=names)

    def _add_for_each(
        self, name: str, label: Label, made: Mapping[Platform, Actions], doc: str
    ) -> None:
        """A task with all actions *made*; with several platforms it has parts, one for each, for
        who needs a single one."""
        everything = tuple(action for actions in made.values() for action in actions)
        self._add(name, label, everything, doc)
        if len(made) == 1:
            return
        for platform, actions in made.items():
            part = Label(label.package, f"{label.name}@{platform}")
            self._add(f"{name}@{platform}", part, actions, f"{doc}, {platform}")
        parts = tuple(f"{name}@{platform}" for platform in made)
        self.tasks[name] = replace(self.tasks.pop(name), parts=parts)  # it comes after them

    def linked_tasks(self) -> dict[str, Task]:
        """The tasks, each with the tasks that its actions depend on."""
        linked = {}
        for name, task in self.tasks.items():
            deps = dict.fromkeys(
                self.task_of_action[dep]
                for action in task.actions
                for dep in self.actions[action].deps.values()
            )
            deps.pop(name, None)
            linked[name] = replace(task, deps=task.parts or tuple(deps))
        return linked

    def _claim(self, name: str, origin: str) -> None:
        if name in self.origins:
            raise GraphError(
                origin or name,
                f"{name} is already declared in {self.origins[name]}",
                "names and labels are unique in a workspace",
            )
        self.origins[name] = origin or name

    def _source(self, text: str, folder: str, where: str) -> Source:
        if not text.startswith("//"):
            return Source(path=f"{folder}/{text}" if folder else text)
        label = parse_label(text, where)
        rule, output = self.genrules.get(text), ""
        if rule is None and "/" in label.name:
            rule_name, _, output = label.name.partition("/")
            rule = self.genrules.get(str(Label(label.package, rule_name)))
        if rule is None:
            return Source(path=f"{label.package}/{label.name}" if label.package else label.name)
        if not output and len(rule.outs) == 1:
            output = rule.outs[0]
        if output not in rule.outs:
            wanted = f"//{rule.label.package}:{rule.label.name}/OUT"
            raise GraphError(
                where, f"{text} names no output (wanted {wanted})", did_you_mean(output, rule.outs)
            )
        return Source(action=str(rule.label), output=output)


_LAYER_DOCS = {
    "certs": "CA certificates",
    "zoneinfo": "time zones",
    "etc": "accounts, hosts, nsswitch and temporary folders",
}


def _binary_actions(binary: Binary, request: Request) -> Actions:
    match binary:
        case GoBinary():
            return go_binary(binary, request)
        case RustBinary():
            return rust_binary(binary, request)
        case CBinary():
            return c_binary(binary, request)
        case Prebuilt():
            return prebuilt(binary, request)


def check_acyclic(actions: Mapping[str, Action]) -> None:
    """Raises: GraphError that prints the cycle."""
    order = TopologicalSorter({name: action.deps.values() for name, action in actions.items()})
    try:
        order.prepare()
    except CycleError as error:
        cycle = [str(name) for name in reversed(error.args[1])]
        raise GraphError(cycle[0], "depends on itself: " + " → ".join(cycle)) from None
