"""The graph: names, labels, links, doubles, cycles; and what is part of a key."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.analysis import ActionGraph, analyze, check_acyclic
from scratchtasks.core.action import Action, Input, key_with_inputs
from scratchtasks.core.digest import ActionKey, key_of
from scratchtasks.core.errors import GraphError
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import (
    Certs,
    Declared,
    Genrule,
    GoBinary,
    Image,
    Prebuilt,
    Service,
    Staged,
    User,
)

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def service(
    name: str = "api",
    folder: str | None = None,
    *,
    platforms: tuple[Platform, ...] = (AMD64,),
    files: tuple[Staged, ...] = (),
    essentials: tuple[str, ...] = ("tmp",),
    certs: Certs = Certs(),  # noqa: B008 - frozen
) -> Service:
    folder = f"services/{name}" if folder is None else folder
    return Service(
        name=name,
        folder=folder,
        binaries=(GoBinary(name=name, dest=f"/usr/bin/{name}", ldflags=("-X a={name}",)),),
        image=Image(
            platforms=platforms,
            user=User("app", 1001, 1001),
            entrypoint=(f"/usr/bin/{name}",),
            essentials=essentials,
            files=files,
        ),
        certs=certs,
        origin=f"{folder}/service.toml",
    )


def rule(
    name: str = "gen", *, srcs: tuple[str, ...] = (), outs: tuple[str, ...] = ("o",)
) -> Genrule:
    label = Label("tools", name)
    return Genrule(label=label, cmd=("true",), srcs=srcs, outs=outs, origin=f"dodo.py: {name}")


def graph(services: Sequence[Service] = (), rules: Sequence[Genrule] = ()) -> ActionGraph:
    declared = Declared(services=tuple(services), genrules=tuple(rules))
    return analyze(declared, lambda text, of: text.replace("{name}", of.name.upper()))


def test_tasks_and_actions_of_a_service() -> None:
    found = graph([service()])
    (etc,) = (name for name in found.tasks if name.startswith("layer:etc-"))
    assert {name: str(task.label) for name, task in found.tasks.items()} == {
        etc: etc.replace("layer", "//"),
        "binary:api": "//services/api:binary",
        "rootfs:api": "//services/api:rootfs",
        "image:api": "//services/api:image",
    }
    assert found.tasks["binary:api"].actions == (
        "//services/api:binary#list@linux/amd64",
        "//services/api:binary@linux/amd64",
    )
    assert found.tasks["rootfs:api"].deps == (etc, "binary:api")
    assert found.tasks["image:api"].deps == ("rootfs:api",)


def test_dependencies_come_before_dependents() -> None:
    found = graph([service("a"), service("b")], [rule("one"), rule("two", srcs=("//tools:one",))])
    for tasks in (list(found.tasks), list(found.actions)):
        assert len(set(tasks)) == len(tasks)
    order = list(found.tasks)
    for name, task in found.tasks.items():
        assert all(order.index(dep) < order.index(name) for dep in task.deps)


def test_a_binary_for_each_platform() -> None:
    found = graph([service(platforms=(AMD64, ARM64))])
    assert [name for name in found.actions if name.startswith("//services/api:binary@")] == [
        "//services/api:binary@linux/amd64",
        "//services/api:binary@linux/arm64",
    ]
    for platform in ("linux/amd64", "linux/arm64"):
        root = found.actions[f"//services/api:rootfs@{platform}"]
        (binary,) = (dep for alias, dep in root.deps.items() if alias.startswith("binary:"))
        assert binary == f"//services/api:binary@{platform}"


def test_what_is_built_for_one_of_several_platforms_has_a_task() -> None:
    found = graph([service(platforms=(AMD64, ARM64))])
    (etc,) = (name for name in found.tasks if name.startswith("layer:"))
    assert {name: task.deps for name, task in found.tasks.items()} == {
        etc: (),
        "binary:api@linux/amd64": (),
        "binary:api@linux/arm64": (),
        "binary:api": ("binary:api@linux/amd64", "binary:api@linux/arm64"),
        "rootfs:api@linux/amd64": (etc, "binary:api@linux/amd64"),
        "rootfs:api@linux/arm64": (etc, "binary:api@linux/arm64"),
        "rootfs:api": ("rootfs:api@linux/amd64", "rootfs:api@linux/arm64"),
        "image:api": ("rootfs:api@linux/amd64", "rootfs:api@linux/arm64"),
    }
    whole, label = found.tasks["rootfs:api"], "//services/api:rootfs@linux/arm64"
    assert (whole.actions, whole.parts) == (
        ("//services/api:rootfs@linux/amd64", label),
        ("rootfs:api@linux/amd64", "rootfs:api@linux/arm64"),
    )
    assert str(found.tasks["rootfs:api@linux/arm64"].label) == label


def test_equal_essentials_are_one_task() -> None:
    names = [name for name in graph([service("a"), service("b")]).tasks if "etc" in name]
    assert len(names) == 1


def test_flags_are_expanded_for_their_service() -> None:
    action = graph([service()]).actions["//services/api:binary@linux/amd64"]
    assert action.params["ldflags"] == ["-X a=API"]


@pytest.mark.parametrize(
    ("services", "rules", "message"),
    [
        (
            [service("api"), service("api", "services/b")],
            [],
            "services/b/service.toml: api is already declared in services/api/service.toml",
        ),
        (
            [service("a", "x"), service("b", "x")],
            [],
            "x/service.toml: //x:image is already declared in x/service.toml",
        ),
        (
            [service("a", "tools")],
            [rule("binary")],
            "tools/service.toml: //tools:binary is already declared in dodo.py: binary",
        ),
        ([], [rule(), rule()], "dodo.py: gen: //tools:gen is already declared in dodo.py: gen"),
    ],
)
def test_doubles_are_refused(services: list[Service], rules: list[Genrule], message: str) -> None:
    with pytest.raises(GraphError) as caught:
        graph(services, rules)
    assert str(caught.value) == f"{message}\n    hint: names and labels are unique in a workspace"


def test_a_cycle_of_rules_is_printed() -> None:
    rules = [rule("a", srcs=("//tools:b",)), rule("b", srcs=("//tools:c",))]
    with pytest.raises(GraphError) as caught:
        graph([], [*rules, rule("c", srcs=("//tools:a",))])
    words = str(caught.value).partition(": depends on itself: ")[2].split(" → ")
    assert words[0] == words[-1]
    links = {("//tools:a", "//tools:b"), ("//tools:b", "//tools:c"), ("//tools:c", "//tools:a")}
    assert set(pairwise(words)) == links


def test_a_rule_of_itself() -> None:
    with pytest.raises(GraphError, match=r"^//tools:a: depends on itself: //tools:a → //tools:a$"):
        graph([], [rule("a", srcs=("//tools:a",))])


def test_no_cycle_is_no_error() -> None:
    check_acyclic(graph([service()], [rule("a"), rule("b", srcs=("//tools:a",))]).actions)


@pytest.mark.parametrize(
    ("src", "outs", "place"),
    [
        ("x.txt", ("o",), {"src": "services/api/x.txt"}),
        ("//:x.txt", ("o",), {"src": "x.txt"}),
        ("//certs:x.pem", ("o",), {"src": "certs/x.pem"}),
        ("//tools:gen", ("o",), {"dep": "file:0", "output": "o"}),
        ("//tools:gen/p", ("o", "p"), {"dep": "file:0", "output": "p"}),
    ],
)
def test_sources(src: str, outs: tuple[str, ...], place: dict[str, str]) -> None:
    staged = (Staged(src=src, dest="/srv/x"),)
    root = graph([service(files=staged)], [rule(outs=outs)]).actions[
        "//services/api:rootfs@linux/amd64"
    ]
    assert root.params["files"] == [{**place, "dest": "/srv/x", "mode": None, "owner": ""}]
    assert ("file:0" in root.deps) == ("dep" in place)


@pytest.mark.parametrize(
    ("src", "message"),
    [
        (
            "//tools:gen",
            "//tools:gen names no output (wanted //tools:gen/OUT)\n    hint: known: one, two",
        ),
        (
            "//tools:gen/twoo",
            "//tools:gen/twoo names no output (wanted //tools:gen/OUT)\n"
            "    hint: did you mean 'two'?",
        ),
        ("//../x:y", "wanted a label inside the workspace, got '//../x:y'"),
        ("//x", "wanted \"//folder:name\", got '//x'"),
    ],
)
def test_sources_that_are_none(src: str, message: str) -> None:
    files = (Staged(src=src, dest="/srv/x"),)
    with pytest.raises(GraphError) as caught:
        graph([service(files=files)], [rule(outs=("one", "two"))])
    assert str(caught.value) == f"services/api/service.toml: {message}"


def test_a_certificate_is_a_file() -> None:
    certs = Certs(extra=("//tools:gen",))
    with pytest.raises(GraphError) as caught:
        graph([service(essentials=("certs",), certs=certs)], [rule()])
    assert str(caught.value) == (
        "services/api/service.toml: certs.extra: wanted a file, got the genrule //tools:gen"
    )


def test_a_prebuilt_binary_made_by_a_rule() -> None:
    made = Prebuilt(name="api", dest="/usr/bin/api", path="//tools:gen/{architecture}")
    found = graph([replace(service(), binaries=(made,))], [rule(outs=("amd64", "arm64"))])
    action = found.actions["//services/api:binary@linux/amd64"]
    assert (action.params, action.deps) == ({"output": "amd64"}, {"source": "//tools:gen"})
    assert found.tasks["binary:api"].deps == ("rule:tools/gen",)


@given(st.permutations(range(5)))
def test_the_order_of_declarations_changes_no_action(order: list[int]) -> None:
    services = [service(f"s{number}") for number in range(5)]
    expected = graph(services, [rule()]).actions
    found = graph([services[number] for number in order], [rule()]).actions
    assert dict(found) == dict(expected)


KINDS = st.sampled_from(["file", "names", "mode", "link"])
TEXTS = st.text(max_size=4)
RECORDS = st.dictionaries(st.builds(Input, KINDS, TEXTS, TEXTS), TEXTS, min_size=1, max_size=5)


@given(RECORDS, st.randoms())
def test_the_order_of_inputs_changes_no_key(record: dict[Input, str], random: object) -> None:
    items = list(record.items())
    getattr(random, "shuffle")(items)  # noqa: B009 - hypothesis gives an untyped Random
    base = key_of("x")
    assert key_with_inputs(base, dict(items)) == key_with_inputs(base, record)


@given(RECORDS, st.data())
def test_any_other_input_gives_another_key(record: dict[Input, str], data: st.DataObject) -> None:
    base = key_of("x")
    key = key_with_inputs(base, record)
    item = data.draw(st.sampled_from(sorted(record)))
    value = record[item]
    rest = {each: record[each] for each in record if each != item}
    others = [
        rest,
        {**record, item: value + "x"},
        *(
            {**rest, changed: value}
            for changed in (
                item._replace(path=item.path + "x"),
                item._replace(pattern=item.pattern + "x"),
                item._replace(kind="link" if item.kind != "link" else "file"),
            )
            if changed not in record
        ),
    ]
    for other in others:
        assert key_with_inputs(base, other) != key
    assert key_with_inputs(ActionKey(key_of("y")), record) != key


def test_label_and_mnemonic_are_for_people() -> None:
    one = Action(label=Label("a", "b"), mnemonic="One", op="x", params={})
    assert one == Action(label=Label("a", "b"), mnemonic="Two", op="x", params={})
    assert (
        one.name,
        Action(label=Label("", "b"), mnemonic="", op="", params={}, platform=AMD64).name,
    ) == (
        "//a:b",
        "//:b@linux/amd64",
    )
