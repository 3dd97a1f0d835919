"""What git says is known without asking it exactly as long as it would say the same."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from scratchtasks.plugin import git_again
from scratchtasks.plugin.git_again import Asking, settle_tree
from scratchtasks.plugin.memo import Known, Memo, read_memo, write_memo
from scratchtasks.plugin.recall import stale_services
from scratchtasks.plugin.remember import Table
from scratchtasks.store.signature import Watch, value_at

DESCRIBE = "describe --tags --always --dirty"
_LONG_AGO = 1_700_000_000
TRACKED = ("a/b/x", "a/y", "ws/input", "ws/z")


class Repository:
    """Two commits of TRACKED, the first of them tagged v0; and what a workspace in *folder* of it,
    whose one service reads `input` there, remembers."""

    def __init__(self, top: Path, folder: str = "ws") -> None:
        self.top, self.root = top / "repo", str(top / "repo" / folder)
        self.home = top / "home"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        self.home.mkdir(parents=True)
        (self.home / ".gitconfig").write_text(
            "[user]\nname = a\nemail = a@example.com\n[include]\npath = more\n"
        )
        for name in TRACKED:
            self.write(name, f"{name} 0\n")
        self.write(".gitignore", "memo\n")
        self.git("init", "-q", "-b", "main", str(self.top))
        self.git("add", ":/")
        self.git("commit", "-q", "-m", "0")
        self.git("tag", "v0")
        self.write("a/y", "a/y 1, longer\n")
        self.git("commit", "-q", "-a", "-m", "1")
        self._folder = f"{self.root}/memo"
        Path(self._folder).mkdir()

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (_LONG_AGO, _LONG_AGO))  # else git would write its index anew for a while

    def says(self) -> str:
        return self.git(*DESCRIBE.split())

    def remember(self) -> Memo:
        """What a run that has looked at everything remembers, once nothing is too young."""
        said = self.says()
        time.sleep(0.06)
        memo = self.memo(None, said)
        self.keep(memo)
        return memo

    def memo(self, before: Memo | None, said: str, *more: Watch) -> Memo:
        """What a run that has looked at the service remembers after *before*."""
        table = Table(before, {"api"})
        services = {"api": Known("", table.numbers_of([self.input(), *more]), "sha256:0")}
        return table.memo("head", float("inf"), [], services, {DESCRIBE: said})

    def input(self) -> Watch:
        value, note = value_at("file", f"{self.root}/input")
        return "input", ("file", "", value), note

    def keep(self, memo: Memo) -> None:
        if memo.tree is None:
            settle_tree(memo, self.root, self.env)
        write_memo(memo, self._folder, "env")

    def ask(self, meanwhile: Callable[[], object] = lambda: None) -> tuple[Memo, bool]:
        """What is remembered, and whether git was asked; *meanwhile* something happens after it
        has answered.  It has to have said the same, and it has to be true."""
        memo = read_memo(self._folder, "env", "head")
        assert memo is not None
        has_asked = False

        def ask() -> None:
            nonlocal has_asked
            has_asked = True
            git.begin()
            assert git.changed() == {}
            meanwhile()

        with Asking(memo.git, self.root, self.env) as git, chdir(self.root):
            stale_services(memo, self._folder, "env", (), ask)
        return memo, has_asked

    def is_asked(self) -> bool:
        """Whether a run would ask git now; what it learns is forgotten."""
        memo = read_memo(self._folder, "env", "head")
        assert memo is not None
        asked = list[bool]()
        with chdir(self.root):
            stale_services(memo, self._folder, "env", (), lambda: asked.append(True))
        return bool(asked)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def edited(repository: Repository, name: str) -> None:
    """More text in the file."""
    path = repository.top / name
    text = path.read_text() + "more"
    path.write_text(text)
    os.utime(path, (_LONG_AGO, _LONG_AGO + len(text)))


def folder_swap(repository: Repository) -> None:
    (repository.top / "a").rename(repository.top / "elsewhere")
    (repository.top / "a").symlink_to("elsewhere")


def file_swap(repository: Repository) -> None:
    path = repository.top / "a/y"
    path.rename(repository.top / "elsewhere")
    path.symlink_to("../elsewhere")


def as_before(_: Repository) -> None:
    """Nothing."""


def is_executable(repository: Repository) -> None:
    (repository.top / "a/y").chmod(0o755)


def may_be_executable(repository: Repository) -> None:
    repository.git("config", "--unset", "core.fileMode")
    is_executable(repository)


def filtered(repository: Repository) -> None:
    """A file that is as it was for git, once attributes name the filter."""
    repository.git("config", "filter.f.clean", "tr 7 1")
    repository.write("a/.gitattributes", "* -filter\n")
    repository.write("a/y", "a/y 7, longer\n")
    os.utime(repository.top / "a/y", (_LONG_AGO, _LONG_AGO + 1))


def filter_on(repository: Repository, name: str) -> None:
    repository.write(name, "* filter=f\n")


def filtered_nowhere(repository: Repository) -> None:
    filtered(repository)
    (repository.top / "a/.gitattributes").unlink()


def config(repository: Repository, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[core]\nfileMode = false\n")


Step = Callable[[Repository], object]

CHANGES: dict[str, tuple[Step, Step]] = {
    "an input": (as_before, lambda it: edited(it, "ws/input")),
    "a file of no service": (as_before, lambda it: edited(it, "ws/z")),
    "a file outside of the workspace": (as_before, lambda it: edited(it, "a/b/x")),
    "a file that is gone": (as_before, lambda it: (it.top / "a/b/x").unlink()),
    "a file that is back": (
        lambda it: (it.top / "a/b/x").unlink(),
        lambda it: it.git("checkout", "-q", "--", ":/"),
    ),
    "a symlink in place of a file": (as_before, file_swap),
    "a symlink in place of a folder": (as_before, folder_swap),
    "a file that can be run": (as_before, is_executable),
    "a commit": (as_before, lambda it: it.git("commit", "-q", "--allow-empty", "-m", "2")),
    "another branch": (
        lambda it: it.git("branch", "other", "HEAD~"),
        lambda it: it.git("checkout", "-q", "other"),
    ),
    "no branch": (as_before, lambda it: it.git("checkout", "-q", "HEAD~")),
    "a tag": (as_before, lambda it: it.git("tag", "v1")),
    "a tag with a slash": (as_before, lambda it: it.git("tag", "-a", "-m", "x", "v/1")),
    "a tag that moves": (as_before, lambda it: it.git("tag", "-f", "v0", "HEAD")),
    "a tag with a slash that moves": (
        lambda it: it.git("tag", "v/1", "HEAD~"),
        lambda it: it.git("tag", "-f", "v/1", "HEAD"),
    ),
    "a tag less": (as_before, lambda it: it.git("tag", "-d", "v0")),
    "a packed tag less": (
        lambda it: it.git("pack-refs", "--all"),
        lambda it: it.git("tag", "-d", "v0"),
    ),
    "a new file that is added": (
        lambda it: it.write("new", ""),
        lambda it: it.git("add", ":/new"),
    ),
    "a file that is forgotten": (as_before, lambda it: it.git("rm", "-q", "--cached", ":/a/y")),
    "another parent": (as_before, lambda it: it.git("replace", "--graft", "HEAD")),
    "configuration": (is_executable, lambda it: it.git("config", "core.fileMode", "false")),
    "configuration of the user": (
        may_be_executable,
        lambda it: config(it, it.home / ".config/git/config"),
    ),
    "configuration that is included": (
        may_be_executable,
        lambda it: config(it, it.home / "more"),
    ),
    "attributes": (filtered, lambda it: filter_on(it, "a/.gitattributes")),
    "attributes that are new": (filtered_nowhere, lambda it: filter_on(it, "a/.gitattributes")),
    "attributes of the repository": (
        filtered_nowhere,
        lambda it: filter_on(it, ".git/info/attributes"),
    ),
    "attributes of the user": (
        filtered_nowhere,
        lambda it: filter_on(it, "../home/.config/git/attributes"),
    ),
}


@pytest.mark.parametrize("folder", ["ws", "."])
@pytest.mark.parametrize("change", CHANGES)
def test_git_is_asked_once_it_says_something_else(change: str, folder: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path, folder)
    if folder == ".":
        repository.write("input", "of nobody else")
    before, after = CHANGES[change]
    before(repository)
    said = repository.says()
    repository.remember()
    assert not repository.is_asked()
    after(repository)
    assert repository.is_asked()
    assert repository.says() != said


def stay_dirty(repository: Repository) -> None:
    """A state in which most edits change nothing of what git says."""
    edited(repository, "ws/z")
    repository.remember()
    assert not repository.is_asked()


def new_file(repository: Repository) -> None:
    repository.write("a/new", "")
    repository.git("add", ":/a/new")


MOVES: dict[str, Step] = {
    "a file that is touched": lambda it: os.utime(it.top / "ws/input", (_LONG_AGO, _LONG_AGO + 1)),
    "another edit": lambda it: edited(it, "ws/z"),
    "an edit elsewhere": lambda it: edited(it, "a/b/x"),
    "a file that git does not know": lambda it: it.write("a/new", ""),
    "a file that it gets to know": new_file,
}


@pytest.mark.parametrize("move", MOVES)
def test_git_is_asked_when_it_might_say_something_else(move: str, repository: Repository) -> None:
    stay_dirty(repository)
    MOVES[move](repository)
    time.sleep(0.06)
    memo, has_asked = repository.ask()
    assert has_asked
    repository.keep(memo)
    if "touched" in move:  # then git has written its index anew
        time.sleep(0.06)
        repository.keep(repository.ask()[0])
    assert not repository.is_asked()


def test_new_attributes_are_known(repository: Repository) -> None:
    filtered_nowhere(repository)
    repository.remember()
    repository.write("a/.gitattributes", "* -filter\n")
    time.sleep(0.06)
    memo, has_asked = repository.ask()
    assert has_asked
    repository.keep(memo)
    assert not repository.is_asked()
    filter_on(repository, "a/.gitattributes")
    assert repository.is_asked()


def test_a_new_file_is_known_once_git_knows_it(repository: Repository) -> None:
    stay_dirty(repository)
    new_file(repository)
    time.sleep(0.06)
    repository.keep(repository.ask()[0])
    edited(repository, "a/new")
    assert repository.is_asked()


def clean(repository: Repository, name: str = "ws/z") -> None:
    """The file as it was committed."""
    repository.write(name, f"{name} 0\n")


def executable_input(repository: Repository) -> None:
    (repository.top / "ws/input").chmod(0o755)


def index_at_hand(repository: Repository) -> None:
    """A clean tree, whose index git cannot write anew while somebody else is at it."""
    repository.remember()
    repository.write(".git/index.lock", "")


RACES: dict[str, tuple[Step, Step, Step]] = {
    "what had not moved": (stay_dirty, MOVES["a file that is touched"], clean),
    "what had moved": (stay_dirty, MOVES["another edit"], clean),
    "what means the same": (
        index_at_hand,
        MOVES["a file that is touched"],
        executable_input,
    ),
}


@pytest.mark.parametrize("race", RACES)
def test_what_changes_while_git_is_asked_is_not_lost(race: str, repository: Repository) -> None:
    before, move, meanwhile = RACES[race]
    before(repository)
    move(repository)
    time.sleep(0.06)
    said = repository.says()

    def change() -> None:
        meanwhile(repository)
        time.sleep(0.06)

    memo, has_asked = repository.ask(change)
    assert has_asked
    if memo.tree is not None:  # else git is asked again before that is believed
        repository.keep(memo)
        assert repository.is_asked()
    assert repository.says() != said


def test_what_changes_while_a_service_is_built_is_not_lost(repository: Repository) -> None:
    edited(repository, "ws/input")
    repository.remember()
    edited(repository, "ws/input")
    time.sleep(0.06)
    before, _ = repository.ask()
    clean(repository, "ws/input")
    time.sleep(0.06)
    memo = repository.memo(before, before.git[DESCRIBE])
    assert repository.says() != before.git[DESCRIBE]
    assert memo.tree is None


def test_what_changes_while_all_is_built_is_not_lost(repository: Repository) -> None:
    memo = repository.memo(None, repository.says())
    edited(repository, "ws/z")
    time.sleep(0.06)
    repository.keep(memo)
    assert memo.tree is None


def test_what_a_service_reads_each_time_is_watched_for_git(repository: Repository) -> None:
    branch = f"{repository.top}/.git/refs/heads/main"
    table = Table(None, {"api"})
    watch: Watch = branch, ("file", "", value_at("file", branch)[0]), ()
    services = {"api": Known("", table.numbers_of([watch]), "sha256:0")}
    said = {DESCRIBE: repository.says()}
    time.sleep(0.06)
    repository.keep(table.memo("head", float("inf"), [], services, said))
    assert not repository.is_asked()
    repository.git("update-ref", "HEAD", "HEAD~")
    assert repository.is_asked()


def test_what_no_service_reads_any_more_is_still_gits(repository: Repository) -> None:
    before = repository.remember()
    table = Table(before, {"api"})
    memo = table.memo("head", float("inf"), [], {"api": Known("")}, before.git)
    repository.keep(memo)
    assert not repository.is_asked()
    edited(repository, "ws/input")
    assert repository.is_asked()


def test_what_a_run_writes_into_dist_is_nothing_to_git(repository: Repository) -> None:
    def memo(before: Memo | None, text: str) -> Memo:
        repository.write("ws/dist/x", text)
        time.sleep(0.06)
        value, note = value_at("file", f"{repository.root}/dist/x")
        return repository.memo(before, repository.says(), ("dist/x", ("file", "", value), note))

    before = memo(None, "{}")
    repository.keep(before)
    assert before.tree
    assert memo(before, "another").tree == before.tree


def tracks_dist(repository: Repository) -> None:
    repository.write("ws/dist/images.json", "{}")
    repository.git("add", ":/")


def has_submodule(repository: Repository) -> None:
    inner = repository.top / "inner"
    subprocess.run(["git", "init", "-q", inner], env=repository.env, check=True)
    repository.git("-C", str(inner), "commit", "-q", "--allow-empty", "-m", "0")
    repository.git("add", ":/inner")


def borrows(repository: Repository) -> None:
    repository.write(".git/objects/info/alternates", "")


def comes_from_the_future(repository: Repository) -> None:
    os.utime(repository.top / "a/y", (_LONG_AGO, time.time() + 3600))


def has_a_tag_that_stands_for_a_branch(repository: Repository) -> None:
    repository.git("symbolic-ref", "refs/tags/release", "refs/heads/release")
    repository.git("branch", "release", "v0")


def is_a_loop(repository: Repository) -> None:
    (repository.top / "a/y").unlink()
    (repository.top / "a/y").symlink_to("y")


def is_passed_over(repository: Repository) -> None:
    Path(repository.root, ".git").mkdir()  # which git does not take for a repository


def is_told(name: str) -> Step:
    def tell(repository: Repository) -> None:
        repository.env[name] = str(repository.top / ".git/other")

    return tell


@pytest.mark.parametrize(
    "setup",
    [
        tracks_dist,
        has_submodule,
        borrows,
        comes_from_the_future,
        has_a_tag_that_stands_for_a_branch,
        is_a_loop,
        is_passed_over,
        is_told("GIT_INDEX_FILE"),
        is_told("GIT_SHALLOW_FILE"),
    ],
)
def test_where_only_git_can_tell_it_is_asked_each_time(setup: Step, repository: Repository) -> None:
    setup(repository)
    memo = repository.remember()
    assert memo.tree == ((), ())
    assert repository.is_asked()
    assert repository.ask()[1]


def test_where_git_is_the_faster_one_it_is_asked_each_time(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_again, "_MANY", len(TRACKED))
    assert repository.remember().tree == ((), ())
    assert repository.ask()[1]


def test_an_index_that_git_writes_each_time_is_not_waited_for(repository: Repository) -> None:
    comes_from_the_future(repository)
    memo = repository.memo(None, repository.says())
    repository.keep(memo)
    assert memo.tree == ((), ())


def test_a_linked_work_tree_has_files_of_its_own(repository: Repository) -> None:
    linked = repository.top.with_name("linked")
    repository.git("worktree", "add", "-q", "-b", "linked", str(linked))
    repository.top, repository.root = linked, f"{linked}/ws"
    for name in (*TRACKED, ".gitignore"):
        os.utime(linked / name, (_LONG_AGO, _LONG_AGO))
    repository.says()
    repository.remember()
    assert not repository.is_asked()
    said = repository.says()
    repository.git("rm", "-q", "--cached", ":/a/y")
    assert repository.says() != said
    assert repository.is_asked()
