"""How much a program imports, and for how long, as Python tells it."""

from pathlib import Path

import pytest

from benchmarks.imports import _shares_of, import_facts
from benchmarks.process import Wrong, this_python

TOLD = """\
import time: self [us] | cumulative | imported package
import time:       200 |        200 |   scratchtasks.core
import time:      1300 |       1500 | scratchtasks
2 images up to date, 0.04 s
import time:       700 |        700 | doit.doit_cmd
import time:        40 |         40 | tomllib
"""


def test_each_package_has_its_own_time() -> None:
    assert _shares_of(TOLD) == {
        "imports of ours": (2, 1500),
        "imports of doit": (1, 700),
        "imports of others": (1, 40),
    }


def test_a_real_program_is_asked(tmp_path: Path) -> None:
    argv = [this_python(), "-c", "import doit.task; print('done')"]
    facts = import_facts(argv, tmp_path, 1, "done")
    assert facts["imports of ours"] == "0 in 0.0 ms"
    assert int(facts["imports of doit"].split()[0]) >= 2
    with pytest.raises(Wrong):
        import_facts(argv, tmp_path, 1, "something else")
