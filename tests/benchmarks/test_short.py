"""Every benchmark that needs no peer runs in its short form: outputs right, results complete."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = {
    "noop": ["noop"],
    "listing": ["list", "list-all", "info"],
    "edit-one": ["edit-one"],
    "edit-shared": ["edit-shared"],
    "assembly": ["assembly-6mb", "assembly-plain-6mb"],
    "many": ["many", "many-gain"],
}


def benchmarks(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with *args*."""
    argv = [sys.executable, "-m", "benchmarks", *args]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_short_form_of_each_finds_all_outputs_right(tmp_path: Path) -> None:
    sizes = ["--short", "--services", "2", "--work", str(tmp_path / "work")]
    out = ["--json", str(tmp_path), "--plot", str(tmp_path)]
    done = benchmarks(*SHORT, *sizes, *out)
    assert done.returncode == 0, done.stderr
    for name, tables in SHORT.items():
        result = json.loads((tmp_path / f"{name}.json").read_text())
        assert [table["name"] for table in result["tables"]] == tables
        assert result["machine"]["cores"] >= 1
        for table in result["tables"]:
            assert all(len(row["runs"]) == 1 for row in table["rows"])
            assert (tmp_path / f"{table['name']}.svg").is_file()
            assert f"### {table['title']}" in done.stdout


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
