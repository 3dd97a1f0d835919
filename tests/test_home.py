"""Where the user is at home, whatever the environment says of it."""

import os
import pwd

import pytest

from scratchtasks.core.home import home_of


def test_the_environment_wins() -> None:
    assert home_of({"HOME": "/somewhere"}) == "/somewhere"


@pytest.mark.parametrize("env", [{}, {"HOME": ""}])
def test_else_it_is_the_users_own(env: dict[str, str]) -> None:
    assert home_of(env) == pwd.getpwuid(os.getuid()).pw_dir


def test_a_user_by_number_only_has_the_root_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = next(n for n in range(2**31 - 2, 0, -1) if n not in {e.pw_uid for e in pwd.getpwall()})
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    assert home_of({}) == "/"
