"""Templates in flags and tags: `{git.describe} {git.short} {git.sha} {env.NAME} {name}`."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from scratchtasks.core.errors import ConfigError, did_you_mean
from scratchtasks.core.target import Service
from scratchtasks.store.signature import Watch, value_at

from .git_head import head_files
from .memo import NOISE

_TEMPLATE = re.compile(r"\{(name|(?:git|env)\.[^{}\s]*)\}")

_GIT = {
    "describe": ("describe", "--tags", "--always", "--dirty"),
    "short": ("rev-parse", "--short=12", "HEAD"),
    "sha": ("rev-parse", "HEAD"),
}
_OF_HEAD = frozenset({"short", "sha"})
"""What depends on nothing but the commit that HEAD is; the others depend on the whole tree."""


class Templates:
    """Expands templates; git is asked at most once for each value, and only if one is used.

    *known* is what git says by its arguments, joined by spaces, where it was asked just now.
    """

    def __init__(
        self, root: str, env: Mapping[str, str], known: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._root = root
        self._env = env
        self._known = known
        self._git: dict[str, str] = {}
        self._users: dict[str, set[str]] = {}
        self._head: list[Watch] = []
        """Files that say that HEAD is the same commit, as they were before git was asked."""

    @property
    def said(self) -> dict[str, str]:
        """What git said, by the arguments it was asked with, joined by spaces."""
        return {" ".join(_GIT[name]): value for name, value in self._git.items()}

    def reads(self, service: str) -> tuple[list[Watch], tuple[str, ...]]:
        """What to watch, and with which arguments to ask git, to know that its answers for
        *service* are those of before."""
        names = self._users.get(service, set())
        settled = names & _OF_HEAD if self._head else set()
        asked = tuple(" ".join(_GIT[name]) for name in sorted(names - settled))
        return (self._head if settled else []), asked

    def expand(self, text: str, service: Service) -> str:
        """*text* with its templates replaced; other braces stay as they are.

        Raises: ConfigError for an unknown template, an unset variable, no git history, or a value
        that is not UTF-8.
        """
        where = service.origin or service.name
        filled = _TEMPLATE.sub(lambda found: self._value(found[1], service, where), text)
        try:
            filled.encode()
        except UnicodeEncodeError:
            raise ConfigError(where, f"{text}: wanted UTF-8, got {filled!r}") from None
        return filled

    def _value(self, name: str, service: Service, where: str) -> str:
        if name == "name":
            return service.name
        kind, _, rest = name.partition(".")
        if kind == "env":
            if rest in NOISE:
                what = f"{{{name}}}: shells set {rest} anew all the time"
                raise ConfigError(where, what, "put what you want of it into another variable")
            if rest not in self._env:
                hint = "set it, or leave the template out"
                raise ConfigError(where, f"{{{name}}}: {rest} is not set", hint)
            return self._env[rest]
        if rest not in _GIT:
            known = [f"git.{each}" for each in _GIT]
            raise ConfigError(where, f"unknown template {{{name}}}", did_you_mean(name, known))
        self._users.setdefault(service.name, set()).add(rest)
        if rest not in self._git:
            if rest in _OF_HEAD and not self._head:
                self._head = self._watch_head()
            # What was known then may be of a commit before the one that is watched from now on.
            is_watched = self._head and rest in _OF_HEAD
            answer = "" if is_watched else self._known.get(" ".join(_GIT[rest]))
            self._git[rest] = answer or self._ask_git(name, _GIT[rest], where)
        return self._git[rest]

    def _watch_head(self) -> list[Watch]:
        """What to watch for the commit of HEAD; empty when only git can tell, or it moves now."""
        paths = head_files(self._root, self._env)
        found: list[Watch] = []
        for path in paths:
            value, note = value_at("file", path)
            found.append((path, ("file", "", value), note))
        return found if paths == head_files(self._root, self._env) else []

    def _ask_git(self, name: str, args: tuple[str, ...], where: str) -> str:
        try:
            git = begin_git(args, self._root, self._env)
        except OSError as error:
            raise ConfigError(where, f"{{{name}}}: git cannot be run: {error.strerror}") from None
        with git:
            answer, complaint = git.communicate()
        if git.returncode:
            said = complaint.strip().splitlines() or ["git failed"]
            what = next((line for line in said if line.startswith("fatal:")), said[-1])
            hint = "commit first: there is nothing to name yet" if _has_no_commit(what) else ""
            if "safe.directory" in said[-1]:
                hint = said[-1].strip()  # the folder is another user's, as in many a CI
            raise ConfigError(where, f"{{{name}}}: {what}", hint)
        return answer.strip()


def _has_no_commit(what: str) -> bool:
    """Whether git, which said *what*, has a repository without any commit; not in every
    language."""
    told = ("Needed a single revision", "ambiguous argument 'HEAD'", "bad revision 'HEAD'")
    return any(each in what for each in told)


def begin_git(args: Sequence[str], root: str, env: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start `git ARGS` in *root*.  Raises: OSError when it cannot be run."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        ["git", *args],
        cwd=root,
        env=dict(env),
        stdout=pipe,
        stderr=pipe,
        text=True,
        errors="surrogateescape",
    )
