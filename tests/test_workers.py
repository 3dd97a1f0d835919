"""The test suite's own workers: what two of them would do to one engine is no bug of ours."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = ("tests/test_errors.py", "tests/test_frozen.py", "tests/test_tree.py")


def test_a_file_is_for_one_worker() -> None:
    argv = [sys.executable, "-m", "pytest", "-n", "2", "-v", "-p", "no:cacheprovider", *FILES]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    ran = re.findall(r"^\[(gw\d)\] .* PASSED (.+?)::", done.stdout, re.MULTILINE)
    assert len(ran) > 10
    assert sorted(place for _, place in set(ran)) == sorted(FILES)
