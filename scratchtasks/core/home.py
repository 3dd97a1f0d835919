"""The user's home folder, where tools keep their settings."""

import os
import pwd
from collections.abc import Mapping


def home_of(env: Mapping[str, str]) -> str:
    """The home that *env* names, else the user's own; `/` where nobody knows one, as containers
    have it.

    Never "": joined to that, paths would lead into the current folder, and a repository would
    choose what is the user's to choose.
    """
    if env.get("HOME"):
        return env["HOME"]
    try:
        return pwd.getpwuid(os.getuid()).pw_dir or "/"
    except KeyError:  # a user by number only
        return "/"
