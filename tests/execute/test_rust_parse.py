"""What cargo, rustc and C compilers write, read back: pure functions."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.errors import ConfigError
from scratchtasks.execute.rust.closure import (
    c_need,
    lock_entries,
    parse_tree,
    pick_bin,
    root_parts,
)
from scratchtasks.execute.rust.config import config_files, is_set, linkers
from scratchtasks.execute.rust.depinfo import input_path, parse_c_deps, parse_rust_deps
from scratchtasks.execute.rust.linked import Linked, linked_by

NAMES = st.text(
    st.characters(blacklist_characters="\0/\n\r\\\t\v\f", blacklist_categories=("Cs", "Cc", "Z"))
    | st.sampled_from(" $#:="),
    min_size=1,
    max_size=12,
).filter(lambda name: name.strip() == name and not name.startswith("-"))


@given(st.lists(NAMES, max_size=5))
def test_cargos_dep_files_come_back(names: list[str]) -> None:
    escaped = [name.replace(" ", "\\ ") for name in ["/my target", *names]]
    text = f"{escaped[0]}: {' '.join(escaped[1:])}\n\nother: rule\n"
    assert parse_rust_deps(text) == names


@settings(max_examples=15)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_gccs_dep_files_come_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("deps")
    headers = [f"{name}.h" for name in names if '"' not in name and "?" not in name]
    for name in headers:
        (folder / name).write_text("\n")
    (folder / "a.c").write_text("".join(f'#include "{name}"\n' for name in headers))
    argv = ["gcc", "-MD", "-MT", "object", "-MF", "a.d", "-c", "a.c", "-o", "a.o"]
    subprocess.run(argv, cwd=folder, check=True)
    found = parse_c_deps((folder / "a.d").read_text(encoding="utf-8"))
    assert [name for name in found if not name.startswith("/usr/")] == ["a.c", *headers]


def test_dep_files_go_over_lines_and_end_at_the_first_rule() -> None:
    text = "object: a.c \\\n  b\\ c.h \\\r\n $$d\\#.h\n\nb.h:\n"
    assert parse_c_deps(text) == ["a.c", "b c.h", "$d#.h"]


def test_input_paths(tmp_path: Path) -> None:
    root = tmp_path / "real"
    (root / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    (root / "up").symlink_to(root / "deep")
    (root / "file").write_text("")
    link = str(tmp_path / "link")
    assert input_path(f"{link}/a/../b", link) == "b"
    assert input_path(f"{root}/b", link) == "b"
    assert input_path(link, link) == ""
    assert input_path("/usr/include/x.h", link) == "/usr/include/x.h"
    assert input_path(f"{root}x/b", link) == f"{root}x/b"
    (tmp_path / "elsewhere/sub").mkdir(parents=True)
    (tmp_path / "elsewhere/file").write_text("")
    (root / "out").symlink_to(tmp_path / "elsewhere/sub")
    os.unlink(root / "file")
    assert input_path(f"{root}/out/../file", str(root)) == str(tmp_path / "elsewhere/file")


def test_trees() -> None:
    text = (
        "w v0.1.0 (/home/x/my|crate)|\n"
        "serde v1.0.1|default,derive\n"
        "serde_derive v1.0.1 (proc-macro)|default\n"
        "serde v1.0.1|default,derive (*)\n"
        "serde v1.0.1|std\n"
    )
    assert parse_tree(text) == (
        ("serde", "1.0.1", "default,derive"),
        ("serde", "1.0.1", "std"),
        ("serde_derive", "1.0.1", "default"),
        ("w", "0.1.0", ""),
    )


def test_only_lock_entries_that_are_used() -> None:
    entries = [
        {"name": "b", "version": "2.0.0", "source": "s", "checksum": "c"},
        {"name": "b", "version": "1.0.0", "source": "s", "checksum": "d"},
        {"name": "a", "version": "1.0.0"},
    ]
    tree = [("b", "2.0.0", "x"), ("b", "2.0.0", "y"), ("a", "1.0.0", "")]
    assert lock_entries({"package": entries}, tree) == [
        ["a", "1.0.0", "", ""],
        ["b", "2.0.0", "s", "c"],
    ]


def test_of_the_root_manifest_only_what_reaches_a_member() -> None:
    root: dict[str, Any] = {
        "workspace": {
            "members": ["a", "b"],
            "dependencies": {"serde": "1", "rand": "0.9", "cc": {"version": "1"}},
            "package": {"edition": "2024"},
        },
        "profile": {"release": {"lto": True}},
    }
    own = [
        {
            "dependencies": {"serde": {"workspace": True}},
            "target": {"cfg(unix)": {"build-dependencies": {"cc": {"workspace": True}}}},
            "dev-dependencies": {"rand": {"workspace": True}},
        }
    ]
    parts = root_parts(root, own)
    assert parts["dependencies"] == {"serde": "1", "cc": {"version": "1"}}
    assert parts["profile"] == {"release": {"lto": True}}
    assert parts["shared"] == {"package": {"edition": "2024"}, "lints": None, "resolver": None}
    changed = {**root, "workspace": {**root["workspace"], "members": ["a"]}}
    assert root_parts(changed, own) == parts


@pytest.mark.parametrize(
    ("names", "links", "need"),
    [(["cc"], None, "yes"), (["cmake", "x"], "z", "yes"), (["x"], "z", "maybe"), (["x"], None, "")],
)
def test_who_needs_c(names: list[str], links: str | None, need: str) -> None:
    assert c_need([{"name": name, "links": links} for name in names]) == need


def test_the_binary_target() -> None:
    def package(*bins: str) -> dict[str, Any]:
        targets = [{"name": name, "kind": ["bin"]} for name in bins]
        return {"name": "w", "targets": [*targets, {"name": "w", "kind": ["lib"]}]}

    assert pick_bin(package("w", "x"), "", "here") == "w"
    assert pick_bin(package("x"), "", "here") == "x"
    assert pick_bin(package("w", "x"), "x", "here") == "x"
    with pytest.raises(ConfigError, match=r"^here: crate w has no binary target 'w'"):
        pick_bin(package("x", "y"), "", "here")


def test_configuration_with_includes(tmp_path: Path) -> None:
    folder, home = tmp_path / "ws/crate", tmp_path / "home"
    (folder / ".cargo").mkdir(parents=True)
    (tmp_path / "ws/.cargo").mkdir()
    (folder / ".cargo/config.toml").write_text('include = ["../more.toml"]\n')
    (folder / "more.toml").write_text("[env]\nCC = 'cc'\n")
    (tmp_path / "ws/.cargo/config.toml").write_text("include = 'config.toml'\nbroken")
    files = config_files(str(folder), str(home))
    assert files[:3] == (
        f"{folder}/.cargo/config.toml",
        f"{folder}/more.toml",
        f"{folder}/.cargo/config",
    )
    assert f"{tmp_path}/ws/.cargo/config" in files
    assert files[-1] == f"{home}/config"
    assert is_set(files, "env", "CC")
    assert not is_set(files, "env", "CC", "x")
    assert not is_set(files, "target", "x", "linker")


def test_linkers_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / ".cargo").mkdir()
    config = tmp_path / ".cargo/config.toml"
    config.write_text(
        "[target.x]\nlinker = 'tools/cc'\n[target.'cfg(unix)']\nlinker = 'mold-cc'\n"
        "[target.y]\nlinker = '/opt/cc'\n[target.z]\nrunner = 'qemu'\n"
    )
    found = linkers([str(config), str(tmp_path / "none")])
    assert found == [f"{tmp_path}/tools/cc", "mold-cc", "/opt/cc"]


def test_what_build_scripts_link(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    (root / "lib").mkdir(parents=True)
    (root / "lib/libown.a").write_text("")
    (tmp_path / "x.o").write_text("")
    text = f"""cargo:rustc-link-search=native=/sys
cargo::rustc-link-search={root}/lib/
cargo:rustc-link-search={root}/.scratch/cargo/1/out
cargo:rustc-link-lib=static:-bundle=z:zz
cargo:rustc-link-lib=static:+verbatim=v.a
cargo:rustc-flags=-l m -L all=/more
cargo:rustc-link-arg-bins=-Wl,-T,{tmp_path}/x.o,/none
cargo:rerun-if-changed=/else
other text
"""
    folders = ("/sys", "/more", f"{root}/lib")
    files = {f"{folder}/{name}" for folder in folders for name in ("libz.a", "v.a", "libm.a")}
    files |= {f"{root}/lib/libown.a", f"{tmp_path}/x.o"}
    assert linked_by([text], [str(root)], str(root), f"{root}/.scratch") == Linked(
        frozenset(files), frozenset([f"{root}/lib"])
    )
