"""Benchmarks that need a Docker Engine, in their short form: outputs right, results complete."""

import json
from pathlib import Path

import pytest

from .test_short import benchmarks

SHORT = {
    "image": {"doit", "umoci insert + config", "docker build, BuildKit"},
    "container": {"doit up", "doit load + docker run", "go build + docker build + docker run"},
    "replace": {"doit watch", "doit up", "go build + docker build + docker rm + docker run"},
}
"""Contenders that are there on every machine that runs the tests, by the name of the table."""


@pytest.mark.docker
def test_the_short_form_of_each_finds_all_outputs_right(tmp_path: Path) -> None:
    """`peers` is left out, which would build three programs; so are minutes of compilers."""
    out = ["--json", str(tmp_path), "--plot", str(tmp_path)]
    done = benchmarks(*SHORT, "--short", "--work", str(tmp_path / "work"), *out)
    assert done.returncode == 0, done.stderr
    for name, contenders in SHORT.items():
        [table] = json.loads((tmp_path / f"{name}.json").read_text())["tables"]
        assert {row["name"] for row in table["rows"]} >= contenders
        assert all(len(row["runs"]) == 1 for row in table["rows"])
        assert (tmp_path / f"{table['name']}.svg").is_file()
