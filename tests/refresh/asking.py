"""Two ways to ask pip: as the plugin does, and without the start of a process."""

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from unittest import mock

from pip._internal.network import session as pip_network

from scratchtasks.refresh import pip_session
from scratchtasks.refresh.upstream import Ended, RunModule

_user_agent = cache(pip_network.user_agent)
"""What pip calls itself: it reads the metadata of all that is installed for it, each time."""


def in_a_process(env: dict[str, str], folder: Path) -> RunModule:
    """Modules are run as the plugin does."""

    def run(module: str, args: Sequence[str]) -> Ended:
        argv = [sys.executable, "-m", module, *args]
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def in_here(env: dict[str, str]) -> RunModule:
    """The same program in this process, under another environment: that spares pip's start."""

    def run(module: str, args: Sequence[str]) -> Ended:
        assert module == pip_session.__name__
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, env, clear=True),
            mock.patch.object(pip_network, "user_agent", _user_agent),
            warnings.catch_warnings(action="ignore"),  # pip's own, about its own insides
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = pip_session.main(args)
        return Ended(code, out.getvalue().encode(), err.getvalue().encode())

    return run
