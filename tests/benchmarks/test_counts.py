"""What a run with nothing to do may cost, in counts: they are the same on every machine."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.counting import Counts, count
from benchmarks.process import Wrong, run
from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, Site, lone_go

ROOT = Path(__file__).parents[2]

HASHED_PER_SERVICE = len("'services/s0', ")
"""Bytes: its folder is a part of what dodo.py declares."""

HASHED = 1_000
"""Bytes, beside those of the environment and of the interpreter's folders: names and digests."""


DODO_CACHE = f"dodo.{sys.implementation.cache_tag}.pyc"


def built(root: Path, services: int) -> Site:
    """A workspace with *services* Go services, built and at rest."""
    site = Site(root)
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER, "scratch.toml": QUICK, "go.mod": GO_MOD})
    for number in range(services):
        site.write(
            {
                f"services/s{number}/main.go": lone_go(f"s{number}"),
                f"services/s{number}/service.toml": SERVICE,
            }
        )
    site.doit()
    site.doit()  # files as young as the clock's tick are read once more
    return site


def noop(site: Site, services: int) -> Counts:
    """Count a run that finds *services* images up to date."""
    finished, counts = count(["-m", "doit"], site.root, site.environment())
    assert finished.out.startswith(f"{services} image{'s' if services > 1 else ''} up to date")
    return counts


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Counts]:
    """Counts of a run with nothing to do, by the number of services."""
    return {
        number: noop(built(tmp_path_factory.mktemp(f"of{number}"), number), number)
        for number in (1, 4)
    }


def test_nothing_to_do_starts_no_process(counts: dict[int, Counts]) -> None:
    assert [each.processes for each in counts.values()] == [(), ()]


def test_nothing_to_do_opens_a_handful_of_files_whatever_the_number_of_services(
    counts: dict[int, Counts],
) -> None:
    for each in counts.values():
        memo = [path for path in each.opened_here() if path.startswith(".scratch/memo/")]
        dodo = {"dodo.py", f"__pycache__/{DODO_CACHE}"}  # or one of them, as Python has it
        opened = [path for path in each.opened_here() if path not in dodo]
        assert sorted(opened) == sorted([".scratch/lock", *memo, "pyproject.toml"])
        # And what the program is made of that was compiled last, where that was one alone.
        assert len(set(memo) - {".scratch/memo/near.rows"}) == 1


def test_nothing_to_do_lists_and_imports_the_same_whatever_the_number_of_services(
    counts: dict[int, Counts],
) -> None:
    assert len(counts[1].listed) == len(counts[4].listed)
    assert counts[1].imported == counts[4].imported


def test_nothing_to_do_opens_nothing_elsewhere_but_what_python_imports(
    counts: dict[int, Counts],
) -> None:
    imports = (str(ROOT), os.path.dirname(os.__file__), *filter(None, sys.path))
    boot, report = "/proc/sys/kernel/random/boot_id", "/counts.json"
    for each in counts.values():
        others = [path for path in each.opened if not path.startswith((each.cwd, *imports))]
        assert [path for path in others if not path.endswith((report, "/pyvenv.cfg"))] == [boot]


def test_nothing_to_do_hashes_no_content_of_files(counts: dict[int, Counts]) -> None:
    assert counts[4].hashed - counts[1].hashed <= 3 * HASHED_PER_SERVICE
    told = "".join(f"{name}={value}\0" for name, value in os.environ.items())
    places = "".join(sys.path)
    assert counts[1].hashed <= len(told.encode() + places.encode()) + HASHED


def test_counts_are_what_the_program_did(tmp_path: Path) -> None:
    (tmp_path / "read.txt").write_text("12345")
    (tmp_path / "program.py").write_text(
        "import hashlib, os, subprocess\n"
        "data = open('read.txt', 'rb').read()\n"
        "hashlib.sha256(data).update(b'678')\n"
        "hashlib.new('sha256', b'9')\n"
        "with open('read.txt', 'rb') as file:\n"
        "    print(hashlib.file_digest(file, 'sha256').hexdigest()[:8])\n"
        "subprocess.run(['true', 'or', 'not'])\n"
        "os.system('true; true')\n"
        "os.listdir('.')\n"
    )
    finished, counts = count(["program.py"], tmp_path)
    assert finished.out == "5994471a\n"
    assert counts.opened_here().count("read.txt") == 2
    assert counts.hashed == 5 + 3 + 1 + 5
    assert [os.path.basename(each) for each in counts.processes] == ["true", "true; true"]
    assert counts.commands == (("true", "or", "not"), ("true; true",))
    assert os.path.realpath(tmp_path) in counts.listed
    assert "subprocess" in counts.imported


def test_a_program_that_fails_is_not_counted(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match=r"exit code 3"):
        count(["-c", "raise SystemExit(3)"], tmp_path)


def test_the_program_sees_what_it_would_see_without_counting(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, sys\nprint(sys.path, sorted(os.environ.items()))\n"
    )
    finished, _ = count(["program.py"], tmp_path)
    assert finished.out == run([sys.executable, "program.py"], tmp_path).out
