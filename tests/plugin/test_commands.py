"""doit's commands that are ours: why and cache."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .shop import write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def doit(root: Path, *args: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-m", "doit", *args]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("word", ["api", "image:api", "//services/api:image"])
def test_why(word: str, root: Path) -> None:
    code, out, err = doit(root, "why", word)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1].startswith("//services/api:image: //")
    assert lines[-1].endswith(" is to be rebuilt: it was never built here")
    assert "//services/api:binary: it was never built here" in lines
    assert not (root / "dist").exists()


def test_why_of_all_images(root: Path) -> None:
    doit(root)
    code, out, _ = doit(root, "why")
    assert code == 0
    assert out == "2 images up to date\n"


def test_why_of_all_images_tells_each_reason_once(root: Path) -> None:
    code, out, err = doit(root, "why")
    assert (code, err) == (0, "")
    first, follows = out.splitlines()
    assert first.endswith(" and 1 more: it was never built here")
    assert follows == "    and so 2 images: api, web"
    doit(root)
    write(root, {"gen/a.txt": "b\n"})
    assert doit(root, "why")[1] == (
        "//gen:words: gen/a.txt changed\n    and so 1 image: web\n1 image up to date\n"
    )
    doit(root)
    shutil.rmtree(root / "dist/api")
    assert doit(root, "why")[1] == (
        "//services/api:image: dist/api/oci-layout is missing\n1 image up to date\n"
    )


def test_why_of_what_is_done_with_an_image(root: Path) -> None:
    doit(root)
    lines = doit(root, "why", "load:api")[1].splitlines()
    assert lines[-2:] == [
        "//services/api:image: up to date",
        "load:api: asks the engine each time what it lacks",
    ]


def test_why_of_a_task_of_the_users_own(root: Path) -> None:
    with open(root / "dodo.py", "a") as file:
        file.write('def task_mine():\n    return {"actions": ["true"]}\n')
    code, out, err = doit(root, "why", "mine")
    assert (code, out) == (3, "")
    assert err == "ERROR: mine: is a task of your own\n    hint: see `doit info mine`\n"


def test_why_of_nothing_there_is(root: Path) -> None:
    code, out, err = doit(root, "why", "apj")
    assert (code, out) == (3, "")
    assert err == "ERROR: apj: there is no such task\n    hint: did you mean 'api'?\n"
    _, _, err = doit(root, "why", "push:web")
    assert err.startswith("ERROR: push:web: there is no such task\n    hint: ")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("delpoy", "did you mean 'deploy'?"),
        ("image:*", "did you mean 'image'?"),
        ("dist/api/index.json", "image:api makes it"),
        ("push:web", "web has no [push] table"),
    ],
)
def test_info_of_nothing_there_is(word: str, hint: str, root: Path) -> None:
    with open(root / "dodo.py", "a") as file:
        file.write('def task_deploy():\n    return {"actions": ["true"]}\n')
    wanted = f"ERROR: {word}: there is no such task\n    hint: {hint}\n"
    assert doit(root, "info", word) == (3, "", wanted)


def test_cache_shows_what_there_is_and_keeps_what_is_used(root: Path) -> None:
    doit(root)
    code, before, _ = doit(root, "cache")
    assert code == 0
    assert before.startswith("results ")
    code, out, err = doit(root, "cache", "--collect", "--limit", "1KiB")
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith("removed 0 blobs, ")
    assert first.endswith("; the rest is in use, or new (wanted at most 1.0 KiB)")
    write(root, {"gen/a.txt": "b\n"})
    doit(root)
    code, out, err = doit(root, "cache", "--collect", "--limit", "1KiB")
    assert not out.startswith("removed 0 blobs")
    code, out, _ = doit(root)
    assert out.startswith("2 images up to date")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--limit", "much"), "cache: --limit: wanted a size such as \"5GiB\", got 'much'"),
        (
            ("--limit", "1KiB"),
            "cache: --limit: is for --collect, which was not given\n"
            "    hint: doit cache --collect --limit '1KiB'",
        ),
        (("extra",), "cache: takes no arguments, got 'extra'"),
    ],
)
def test_cache_refuses(args: tuple[str, ...], message: str, root: Path) -> None:
    code, out, err = doit(root, "cache", *args)
    assert (code, out) == (3, "")
    assert message in err


@pytest.mark.parametrize("command", ["why", "cache"])
def test_with_doits_own_loader(command: str, root: Path) -> None:
    write(root, {"pyproject.toml": ""})
    code, _, err = doit(root, command)
    assert code == 3
    assert "Traceback" not in err


def test_dumpdb_shows_what_doit_can_read_and_else_no_traceback(root: Path) -> None:
    wanted = "wanted a database of one of doit's own backends, got"
    told = f"ERROR: dumpdb: .doit.db: {wanted} none\n"
    hint = "    hint: this workspace's is SQLite: sqlite3 .scratch/doit.db .dump\n"
    assert doit(root, "dumpdb") == (3, "", told)
    doit(root, "rule:gen/words")
    assert doit(root, "dumpdb") == (3, "", told + hint)
    other = f"ERROR: dumpdb: .scratch/doit.db: {wanted} another file\n"
    assert doit(root, "dumpdb", "--db-file=.scratch/doit.db") == (3, "", other + hint)
    assert doit(root, "--backend", "dbm", "rule:gen/words")[0] == 0
    code, out, err = doit(root, "dumpdb")
    assert (code, err) == (0, "")
    assert "rule:gen/words" in out


def test_a_fault_in_a_call_of_ours_shows_no_traceback(root: Path) -> None:
    text = (root / "dodo.py").read_text().replace('cmd=["cp", "a.txt", "{out}/w"]', 'cmd="cp"')
    (root / "dodo.py").write_text(text)
    assert doit(root, "list") == (
        3,
        "",
        "ERROR: dodo.py: genrule('words'): cmd: wanted an array of strings, got the string \"cp\"\n"
        '    hint: write ["cp"]\n',
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("up", "api", "--prot", "1:2"),
            "up: option --prot not recognized\n    hint: did you mean '--port'?",
        ),
        (
            ("watch", "--adress=::1"),
            "watch: option --adress not recognized\n    hint: did you mean '--address'?",
        ),
        (("resolve", "-f"), "resolve: option -f requires argument"),
        (
            ("cache", "--colect"),
            "cache: option --colect not recognized\n    hint: did you mean '--collect'?",
        ),
        (
            ("refresh", "--chek"),
            "refresh: option --chek not recognized\n    hint: did you mean '--check'?",
        ),
        (("why", "-x"), "why: option -x not recognized\n    hint: see `doit help why`"),
        (
            ("schedule", "cron", "--nightly"),
            "schedule: option --nightly not recognized\n    hint: see `doit help schedule`",
        ),
    ],
)
def test_an_option_that_a_command_has_not_is_one_line(
    words: tuple[str, ...], told: str, root: Path
) -> None:
    assert doit(root, *words) == (3, "", f"ERROR: {told}\n")


def test_options_may_follow_words(root: Path) -> None:
    assert doit(root, "why", "api", "--offline")[0] == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "from scratchtasks import Workspac",
            "    from scratchtasks import Workspac\n"
            "ImportError: cannot import name 'Workspac' from 'scratchtasks'",
        ),
        (
            "Workspace(service=['x/*'])",
            "TypeError: Workspace.__init__() got an unexpected keyword argument 'service'\n",
        ),
        ("x = (", "    x = (\n        ^\nSyntaxError: '(' was never closed\n"),
        ("import gone", "    import gone\nModuleNotFoundError: No module named 'gone'\n"),
        ("import other", '/other.py", line 1, in <module>\n    1 / 0\n'),
        ("def task_x():\n    1 / 0", "in task_x\n    1 / 0\n"),
    ],
)
@pytest.mark.parametrize("command", [[], ["list"], ["why", "api"]])
def test_a_fault_in_dodo_shows_its_lines_and_none_of_doit(
    line: str, told: str, command: list[str], root: Path
) -> None:
    (root / "other.py").write_text("1 / 0\n")
    dodo = root / "dodo.py"
    dodo.write_text(f"{dodo.read_text()}{line}\n")
    code, out, err = doit(root, *command)
    assert (code, out) == (3, "")
    assert err.startswith(f'ERROR: dodo.py ends with an error\n  File "{dodo}", line ')
    assert told in err
    assert not any(word in err for word in ("Traceback", "doit/", "importlib", "sources.py"))
