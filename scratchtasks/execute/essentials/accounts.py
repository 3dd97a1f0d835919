"""Accounts: root, nobody and the image's user in /etc/passwd and /etc/group, and a home."""

import re

from scratchtasks.core.errors import StageError
from scratchtasks.core.target import User

from .made import Made, folder_of, text_of

ROOT = User("root", 0, 0)
NOBODY = User("nobody", 65534, 65534)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_MAX_ID = 2**31 - 1
"""Docker and Kubernetes refuse larger ids, though Linux would take them."""

_HOME_MODE = 0o700
"""As useradd and distroless do: what a program keeps at home is nobody else's business."""


def users_of(user: User) -> dict[str, tuple[int, int]]:
    """Every name in the image's /etc/passwd with its (uid, gid); *user* may be root or nobody.

    Raises: StageError when *user*'s name or ids are malformed, or one of them belongs to
    somebody else (both are named).
    """
    where = f"user {user.name!a}"
    if not _NAME.fullmatch(user.name):
        raise StageError(where, "wanted a name of at most 32 letters, digits, '_', '.' and '-'")
    for what, number in (("uid", user.uid), ("gid", user.gid)):
        if not 0 <= number <= _MAX_ID:
            raise StageError(where, f"wanted a {what} of 0 to {_MAX_ID}, got {number}")
    for other in (ROOT, NOBODY):
        if user.name == other.name and (user.uid, user.gid) != (other.uid, other.gid):
            raise StageError(
                "accounts",
                f"user {user.name} has {user.uid}:{user.gid}, "
                f"but {other.name} is {other.uid}:{other.gid} everywhere",
                "give the user another name",
            )
        if user.name != other.name and user.uid == other.uid:
            raise StageError(
                "accounts", f"user {user.name} has uid {user.uid}, which is {other.name}'s"
            )
    return {each.name: (each.uid, each.gid) for each in (ROOT, NOBODY, user)}


def accounts_tree(user: User) -> list[Made]:
    """`/etc/passwd`, `/etc/group` and *user*'s home folder, which is theirs alone (0700).

    Nobody can log in: there is no password to match and no shell.  A user whose gid is 0 or
    65534 joins that group; else the group has the user's name.
    Raises: StageError as users_of.
    """
    users_of(user)
    users = [ROOT, NOBODY] if user in (ROOT, NOBODY) else [ROOT, NOBODY, user]
    groups = [ROOT, NOBODY] if user.gid in (ROOT.gid, NOBODY.gid) else [ROOT, NOBODY, user]
    passwd = [
        f"{each.name}:x:{each.uid}:{each.gid}:{each.name}:{_home(each, user)}:/sbin/nologin"
        for each in users
    ]
    group = [f"{each.name}:x:{each.gid}:" for each in groups]
    return [
        text_of("etc/passwd", passwd, "accounts"),
        text_of("etc/group", group, "accounts"),
        folder_of(user.home.lstrip("/"), _HOME_MODE, "accounts", user.uid, user.gid),
    ]


def _home(each: User, user: User) -> str:
    return "/nonexistent" if each == NOBODY != user else each.home
