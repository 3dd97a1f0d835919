"""Each rule: a target becomes actions, and every field of the target reaches their params."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scratchtasks.core.action import Action
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import (
    CBinary,
    Certs,
    Genrule,
    GoBinary,
    Image,
    Prebuilt,
    RustBinary,
    Service,
    User,
)
from scratchtasks.rules.binary import Actions, Request, Source
from scratchtasks.rules.c_binary import c_binary
from scratchtasks.rules.essentials import essential_layers
from scratchtasks.rules.genrule import genrule
from scratchtasks.rules.go_binary import go_binary
from scratchtasks.rules.prebuilt import prebuilt
from scratchtasks.rules.rust_binary import rust_binary

ARM = Platform("linux", "arm", "v7")
IMAGE = Image(platforms=(ARM,), user=User("app", 1001, 1002), entrypoint=("/usr/bin/x",))
SERVICE = Service(name="x", folder="s/x", binaries=(), image=IMAGE)


def source(text: str) -> Source:
    if text == "//g:file":
        return Source(path="g/file")
    if text.startswith("//"):
        return Source(action=text, output="o")
    return Source(path=f"s/x/{text}")


REQUEST = Request(
    service=SERVICE,
    label=Label("s/x", "binary"),
    platform=ARM,
    expand=lambda text: text.replace("{name}", "x"),
    source=source,
)
GO = GoBinary(name="x", dest="/x", package="./cmd", tags=("t",), ldflags=("-X v={name}",))
RUST = RustBinary(
    name="x",
    dest="/x",
    crate="c",
    bin="b",
    features=("f",),
    default_features=False,
    env={"V": "{name}-1"},
)
C = CBinary(name="x", dest="/x", srcs=("*.c",), cflags=("-D{name}",), ldflags=("-l",), cc="gcc")


def test_go_binary() -> None:
    listed, built = go_binary(GO, REQUEST)
    assert listed.name == "//s/x:binary#list@linux/arm/v7"
    assert (listed.op, listed.params) == (
        "go_list",
        {"folder": "s/x", "package": "./cmd", "tags": ["t"]},
    )
    assert (built.op, built.params) == (
        "go_build",
        {**listed.params, "name": "x", "ldflags": ["-X v=x"]},
    )
    assert built.deps == {"list": listed.name}


def test_rust_binary() -> None:
    metadata, built = rust_binary(RUST, REQUEST)
    assert metadata.params == {
        "folder": "s/x",
        "crate": "c",
        "bin": "b",
        "features": ["f"],
        "default_features": False,
    }
    assert (metadata.op, built.op) == ("cargo_metadata", "cargo_build")
    assert built.params == {**metadata.params, "name": "x", "env": {"V": "x-1"}}
    assert built.deps == {"metadata": metadata.name}


def test_c_binary() -> None:
    (built,) = c_binary(C, REQUEST)
    assert built.params == {
        "folder": "s/x",
        "srcs": ["*.c"],
        "cflags": ["-Dx"],
        "ldflags": ["-l"],
        "cc": "gcc",
        "cxx": "",
        "name": "x",
    }


@pytest.mark.parametrize(
    ("path", "params", "deps"),
    [
        ("out/{os}-{architecture}-{variant}/x", {"path": "s/x/out/linux-arm-v7/x"}, {}),
        ("//gen:x", {"output": "o"}, {"source": "//gen:x"}),
    ],
)
def test_prebuilt(path: str, params: dict[str, str], deps: dict[str, str]) -> None:
    (action,) = prebuilt(Prebuilt(name="x", dest="/x", path=path), REQUEST)
    assert (action.params, action.deps) == (params, deps)


def test_genrule() -> None:
    rule = Genrule(
        label=Label("g", "r"),
        cmd=("c", "{out}"),
        srcs=("a", "//g:q", "//g:file", "../b/*.x"),
        outs=("o",),
        env={"E": "1"},
    )
    action = genrule(rule, source)
    assert action.name == "//g:r"
    assert action.deps == {"src:1": "//g:q"}
    assert action.params == {
        "folder": "g",
        "cmd": ["c", "{out}"],
        "srcs": ["a", "../b/*.x"],
        "files": ["g/file"],
        "made": [{"dep": "src:1", "output": "o"}],
        "outs": ["o"],
        "env": {"E": "1"},
    }


@pytest.mark.parametrize(
    ("rule", "target", "changes"),
    [
        (go_binary, GO, {"package": ".", "tags": (), "ldflags": (), "name": "y"}),
        (
            rust_binary,
            RUST,
            {
                "crate": ".",
                "bin": "",
                "features": (),
                "default_features": True,
                "env": {},
                "name": "y",
            },
        ),
        (
            c_binary,
            C,
            {"srcs": (), "cflags": (), "ldflags": (), "cc": "", "cxx": "g++", "name": "y"},
        ),
    ],
)
def test_every_field_of_a_binary_reaches_its_last_action(
    rule: Callable[..., Actions], target: object, changes: dict[str, object]
) -> None:
    params = rule(target, REQUEST)[-1].params
    for field, value in changes.items():
        changed = replace(target, **{field: value})  # type: ignore[type-var]
        assert rule(changed, REQUEST)[-1].params != params, field
    other = replace(REQUEST, service=replace(SERVICE, folder="other"))
    assert rule(target, other)[-1].params != params


def layers(service: Service) -> dict[str, Action]:
    return essential_layers(service, lambda text: f"root/{text}")


def test_essentials_in_the_order_of_their_stability() -> None:
    assert list(layers(SERVICE)) == ["zoneinfo", "certs", "etc"]


def test_essentials_that_nobody_asked_for() -> None:
    assert layers(replace(SERVICE, image=replace(IMAGE, essentials=()))) == {}
    only = layers(replace(SERVICE, image=replace(IMAGE, essentials=("tmp",))))
    assert only["etc"].params == {
        "kind": "etc",
        "accounts": None,
        "hosts": None,
        "nsswitch": False,
        "tmp": True,
        "services": False,
        "os_release": False,
    }


def test_equal_wishes_are_equal_actions_whatever_their_order() -> None:
    one = replace(
        SERVICE, zones=("B", "A", "B"), certs=Certs(extra=("b", "a")), hosts={"h": "1", "g": "2"}
    )
    two = replace(
        SERVICE, zones=("A", "B"), certs=Certs(extra=("a", "b")), hosts={"g": "2", "h": "1"}
    )
    assert layers(one) == layers(two)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("zoneinfo", {"zones": ("UTC",)}),
        ("certs", {"certs": Certs(extra=("x.pem",))}),
        ("certs", {"certs": Certs(public=False)}),
        ("etc", {"hosts": {"db": "10.0.0.7"}}),
        ("etc", {"image": replace(IMAGE, user=User("app", 1001, 1003))}),
        ("etc", {"image": replace(IMAGE, user=User("ape", 1001, 1002))}),
    ],
)
def test_another_wish_is_another_action_with_another_name(
    kind: str, change: dict[str, object]
) -> None:
    changed = layers(replace(SERVICE, **change))  # type: ignore[arg-type]
    assert {each for each in changed if changed[each].name != layers(SERVICE)[each].name} == {kind}


def test_no_two_wishes_of_a_workspace_share_a_name() -> None:
    # Their keys begin with the same eight digits: one image would get the other's hosts.
    image = replace(IMAGE, essentials=("hosts",))
    one, two = (
        layers(replace(SERVICE, image=image, hosts={"db": address}))["etc"]
        for address in ("10.0.162.67", "10.1.83.146")
    )
    assert one.name != two.name
    assert one.name[: len("//:etc-3c0d42af")] == two.name[: len("//:etc-3c0d42af")]


def test_paths_of_certificates_are_below_the_root() -> None:
    found = layers(replace(SERVICE, certs=Certs(extra=("x.pem",))))
    assert found["certs"].params == {"kind": "certs", "public": True, "extra": ["root/x.pem"]}
