"""Every benchmark that needs no peer runs in its short form: outputs right, results complete."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scratchtasks.config.default_pins import DEFAULT_PINS
from tests.refresh.wheels import wheel

ROOT = Path(__file__).parents[2]
SHORT = {
    "noop": ["noop"],
    "listing": ["list", "list-all", "info"],
    "edit-one": ["edit-one"],
    "edit-shared": ["edit-shared"],
    "modules": ["modules"],
    "assembly": ["assembly-6mb", "assembly-plain-6mb", "assembly-memory"],
    "many": ["many", "many-gain"],
}

PROFILED = {
    "noop": {"doit"},
    "edit-one": {"doit", "doit image:NAME"},
    "edit-shared": {"doit", "doit -n 2"},
    "modules": {"doit"},
    "assembly-6mb": {"ours"},
    "assembly-plain-6mb": {"ours", "ours, and the archive"},
    "many": {"doit -n 1", "doit -n 2"},
}
"""Whose time is broken down, by the name of the table."""


def benchmarks(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with *args*."""
    argv = [sys.executable, "-m", "benchmarks", *args]
    # Each tree has a store of its own, and would ask PyPI for the same two wheels.
    (wheels,) = {wheel(f"{pin.name}-{pin.version}").parent for pin in DEFAULT_PINS.values()}
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_the_short_form_of_each_finds_all_outputs_right(tmp_path: Path) -> None:
    sizes = ["--short", "--services", "2", "--work", str(tmp_path / "work")]
    out = ["--json", str(tmp_path), "--plot", str(tmp_path)]
    shared_tasks = 10  # groups, CA certificates and zones
    done = benchmarks(*SHORT, *sizes, *out)
    assert done.returncode == 0, done.stderr
    for name, tables in SHORT.items():
        result = json.loads((tmp_path / f"{name}.json").read_text())
        assert [table["name"] for table in result["tables"]] == tables
        assert result["machine"]["cores"] >= 1
        if name == "noop":  # 7,000 in the tree of 1,000 services
            facts = result["tables"][0]["facts"]
            assert facts["tasks"] == 2 * 7 + shared_tasks
            assert re.fullmatch(r"[1-9]\d* in \d+\.\d ms", facts["imports of ours"])
        assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", result["commit"])
        assert re.fullmatch(r"\d\d:\d\d UTC", result["time"])
        for table in result["tables"]:
            assert all(len(row["runs"]) == 1 for row in table["rows"])
            assert (tmp_path / f"{table['name']}.svg").is_file()
            assert f"### {table['title']}" in done.stdout
            assert table["parts"].keys() == PROFILED.get(table["name"], set())
            for parts in table["parts"].values():
                assert min(part["clock"] for part in parts) >= 0


def test_growth_needs_three_sizes_and_takes_all_kinds_of_runs(tmp_path: Path) -> None:
    sizes = ["--short", "--services", "4", "--work", str(tmp_path / "work")]
    done = benchmarks("growth", *sizes, "--json", str(tmp_path))
    assert done.returncode == 0, done.stderr
    tables = json.loads((tmp_path / "growth.json").read_text())["tables"]
    names = ["growth", "growth-edit", "growth-list", "growth-images"]
    assert [table["name"] for table in tables] == names
    too_few = benchmarks("growth", "--services", "2", "--work", str(tmp_path / "work"))
    assert too_few.returncode == 1
    assert too_few.stderr == "growth: --services 2: too few to grow\n"


def test_the_list_names_each() -> None:
    done = benchmarks("--list")
    assert {line.split()[0] for line in done.stdout.splitlines()} >= SHORT.keys()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nop"], "error: unknown benchmark: nop\n"),
        ([], "error: name a benchmark\n"),
    ],
)
def test_mistakes_on_the_command_line(args: list[str], said: str) -> None:
    done = benchmarks(*args)
    assert done.returncode == 2
    assert done.stderr.endswith(said)
