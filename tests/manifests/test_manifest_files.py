"""Manifests on disk: what is read, where it goes, what is refused."""

import io
import os
from pathlib import Path

import pytest
import yaml

from scratchtasks.core.errors import ConfigErrors, StoreError
from scratchtasks.plugin.manifest_files import (
    joined,
    outputs,
    read_manifests,
    write_manifests,
)

_NO_STDIN = io.BytesIO()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "a.yml", "sub/c.json", "sub/d.txt", ".e.yaml", ".git/f.yaml", "Z.yaml"):
        path = tmp_path / "k8s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"name: {name}\r\n".encode())
    return tmp_path


def _origins(paths: list[str], skip: str = "") -> list[str]:
    return [each.origin for each in read_manifests(paths, _NO_STDIN, skip)]


def test_folders_files_and_stdin_in_order_and_once(folder: Path) -> None:
    found = read_manifests(
        ["k8s/sub/d.txt", "-", "k8s", "./k8s/b.yaml", "-"], io.BytesIO(b"\xef\xbb\xbfa: \xc3\xa9")
    )
    assert [(each.origin, each.path) for each in found] == [
        ("k8s/sub/d.txt", "d.txt"),
        ("<stdin>", "stdin.yaml"),
        ("k8s/Z.yaml", "Z.yaml"),
        ("k8s/a.yml", "a.yml"),
        ("k8s/b.yaml", "b.yaml"),
        ("k8s/sub/c.json", "sub/c.json"),
    ]
    assert found[0].text == "name: sub/d.txt\r\n"
    assert found[1].text == "\ufeffa: é"


def test_every_fault_is_told(folder: Path) -> None:
    (folder / "k8s/latin.yaml").write_bytes(b"a: \xe9\n")
    (folder / "k8s/gone.yaml").symlink_to("nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(ConfigErrors) as caught:
        read_manifests(["none", "empty", "k8s"], _NO_STDIN)
    assert str(caught.value) == (
        "none: no such file or folder\n"
        "empty: no *.yaml, *.yml or *.json in this folder\n"
        "k8s/gone.yaml: no such file or folder\n"
        "k8s/latin.yaml: not UTF-8: byte 0xe9 at offset 3"
    )


def test_standard_input_that_is_closed_is_missed_only_where_it_is_named(folder: Path) -> None:
    assert read_manifests(["k8s"], None)
    with pytest.raises(ConfigErrors, match=r"^<stdin>: is closed$"):
        read_manifests(["k8s", "-"], None)


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "k8s/pipe.yaml")
    assert "k8s/pipe.yaml" not in _origins(["k8s"])


def test_a_pipe_that_is_named_is_read(folder: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a: b\n")
    os.close(writer)
    (found,) = read_manifests([f"/dev/fd/{reader}"], _NO_STDIN)
    os.close(reader)
    assert (found.text, found.mode) == ("a: b\n", 0o644)


def test_output_of_an_earlier_run_is_not_read(folder: Path) -> None:
    before = _origins(["k8s"], "k8s/out")
    found = read_manifests(["k8s"], _NO_STDIN, "k8s/out")
    for _ in range(2):
        write_manifests(outputs(found, "k8s/out"), {each.origin: each.text for each in found})
    assert _origins(["k8s"], "k8s/out") == before
    assert len(_origins(["k8s"])) == 2 * len(before)


def test_written_files_keep_path_bytes_and_mode(folder: Path) -> None:
    (folder / "k8s/b.yaml").chmod(0o600)
    found = read_manifests(["k8s", "-"], io.BytesIO(b"x: y"))
    texts = {each.origin: each.text.upper() for each in found}
    write_manifests(outputs(found, "out/deep"), texts)
    written = {
        path.relative_to(folder / "out/deep").as_posix(): path.read_bytes()
        for path in (folder / "out/deep").rglob("*")
        if path.is_file()
    }
    assert written == {
        "Z.yaml": b"NAME: Z.YAML\r\n",
        "a.yml": b"NAME: A.YML\r\n",
        "b.yaml": b"NAME: B.YAML\r\n",
        "stdin.yaml": b"X: Y",
        "sub/c.json": b"NAME: SUB/C.JSON\r\n",
    }
    assert (folder / "out/deep/b.yaml").stat().st_mode & 0o777 == 0o600
    assert (folder / "out/deep/stdin.yaml").stat().st_mode & 0o777 == 0o644


def test_inputs_are_never_overwritten(folder: Path) -> None:
    found = read_manifests(["k8s/a.yml", "k8s/b.yaml"], _NO_STDIN)
    (folder / "out").mkdir()
    os.link("k8s/a.yml", "out/b.yaml")
    (folder / "alias").symlink_to("k8s")
    for place, first in (("k8s", "k8s/a.yml"), ("alias", "alias/a.yml")):
        with pytest.raises(ConfigErrors) as caught:
            outputs(found, place)
        assert str(caught.value).splitlines()[:2] == [
            f"{first}: would overwrite k8s/a.yml, which is an input",
            "    hint: choose a folder outside the inputs",
        ]
        assert len(caught.value.errors) == 2
    with pytest.raises(ConfigErrors, match=r"^out/b.yaml: would overwrite k8s/a.yml, which"):
        outputs(found, "out")


def test_two_inputs_never_share_an_output(folder: Path) -> None:
    found = read_manifests(["k8s", "k8s/sub", "k8s/.git/f.yaml", "k8s/sub/c.json"], _NO_STDIN)
    assert set(outputs(found, "out")) >= {str(folder / "out/f.yaml")}
    (folder / "b.yaml").write_text("a: b\n")
    with pytest.raises(ConfigErrors) as caught:
        outputs(read_manifests(["k8s", "b.yaml"], _NO_STDIN), "out")
    assert str(caught.value) == (
        "out/b.yaml: both k8s/b.yaml and b.yaml would be written here\n"
        "    hint: resolve them into separate folders"
    )


def test_unwritable_output_is_a_clean_error(folder: Path) -> None:
    (folder / "out/b.yaml").mkdir(parents=True)
    found = read_manifests(["k8s/b.yaml"], _NO_STDIN)
    with pytest.raises(StoreError, match=r"out/b.yaml: cannot be written: is a directory"):
        write_manifests(outputs(found, "out"), {"k8s/b.yaml": "x"})


def test_one_text_is_printed_as_it_is_and_several_as_one_stream() -> None:
    assert joined([]) == ""
    assert joined(["\ufeffa: 1"]) == "\ufeffa: 1"
    texts = ["a: 1", "\ufeffb: 2\n", "---\nc: 3\n", '{"d": 4}', "%YAML 1.1\n---\ne: 5\n"]
    stream = joined(texts)
    assert stream == ('a: 1\n---\nb: 2\n---\nc: 3\n---\n{"d": 4}\n...\n%YAML 1.1\n---\ne: 5\n')
    assert list(yaml.safe_load_all(stream)) == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}, {"e": 5}]
