"""Indexes on loopback, asked by the real pip of this interpreter under a user's configuration."""

import base64
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pip._internal.commands.download import DownloadCommand

from scratchtasks.core.errors import ConfigErrors
from scratchtasks.refresh.index import Release
from scratchtasks.refresh.upstream import Ended, releases_of

from .asking import in_a_process, in_here
from .index_server import JSON_TYPE, PORTAL, Index, serving

WHEEL = "tzdata-2026.1-py2.py3-none-any.whl"


def ask(
    env: dict[str, str], tmp_path: Path, *names: str, now: float | None = None
) -> dict[str, tuple[Release, ...]]:
    """What pip is told about *names* (by default tzdata)."""
    moment = time.time() if now is None else now
    return dict(releases_of(names or ("tzdata",), in_here(env), moment))


def refusal(env: dict[str, str], tmp_path: Path, **more: float) -> str:
    with pytest.raises(ConfigErrors) as caught:
        ask(env, tmp_path, **more)
    return str(caught.value)


def page(index: Index) -> str:
    return f"{index.url}/tzdata/"


@pytest.mark.parametrize("speaks_json", [True, False])
def test_releases_of_several_projects(
    speaks_json: bool, index: Index, pip_env: dict[str, str], tmp_path: Path
) -> None:
    index.speaks_json = speaks_json
    index.add(WHEEL, b"1", uploaded="2026-04-03T00:00:00Z")
    index.add("certifi-2026.1-py3-none-any.whl", b"22", yanked="bad")
    run = in_a_process(pip_env, tmp_path)
    found = releases_of(("certifi", "tzdata"), run, time.time())
    assert [each.yanked for each in found["certifi"]] == ["bad"]
    (release,) = found["tzdata"]
    assert (release.version, release.size) == ("2026.1", 1 if speaks_json else 0)
    assert release.date == ("2026-04-03" if speaks_json else "")
    assert index.asked == ["/simple/certifi/", "/simple/tzdata/"]


def test_nothing_is_asked_for_nothing(pip_env: dict[str, str], tmp_path: Path) -> None:
    assert releases_of((), lambda module, args: Ended(1, b"", b""), 0) == {}


def test_extra_indexes_add_and_the_first_counts(
    index: Index, pip_env: dict[str, str], tmp_path: Path
) -> None:
    index.add(WHEEL, b"first")
    with serving() as extra:
        extra.add(WHEEL, b"second")
        extra.add("tzdata-2026.2-py3-none-any.whl", b"other")
        found = ask({**pip_env, "PIP_EXTRA_INDEX_URL": extra.url}, tmp_path)["tzdata"]
    assert [(each.version, each.size) for each in found] == [("2026.1", 5), ("2026.2", 5)]


def test_pips_own_file_says_where(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    index.add(WHEEL, b"1")
    del pip_env["PIP_INDEX_URL"]
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {index.url}\n")
    assert len(ask({**pip_env, "PIP_CONFIG_FILE": str(file)}, tmp_path)["tzdata"]) == 1


def test_credentials_from_netrc(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    index.add(WHEEL, b"1")
    index.password = base64.b64encode(b"me:s3cret").decode()
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert len(ask({**pip_env, "HOME": str(tmp_path)}, tmp_path)["tzdata"]) == 1


def test_credentials_in_the_url_are_used_and_never_shown(
    index: Index, pip_env: dict[str, str], tmp_path: Path
) -> None:
    index.add(WHEEL, b"1")
    index.password = base64.b64encode(b"me:s3cret").decode()
    url = index.url.replace("//", "//me:s3cret@")
    assert len(ask({**pip_env, "PIP_INDEX_URL": url}, tmp_path)["tzdata"]) == 1
    text = refusal({**pip_env, "PIP_INDEX_URL": url.replace("s3cret", "wr0ng")}, tmp_path)
    assert text == (
        f"{page(index)}: answers 401\n    hint: pip takes credentials from netrc, keyring or its "
        "index-url"
    )


def test_a_proxy_is_used(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    index.add(WHEEL, b"1")
    with serving() as proxy:
        seen = "http://index.invalid/simple/tzdata/"
        proxy.answers[seen] = lambda handler: handler.send(PORTAL, "text/html")
        env = {
            **pip_env,
            "PIP_INDEX_URL": "http://index.invalid/simple",
            "PIP_TRUSTED_HOST": "index.invalid",
            "PIP_PROXY": proxy.url.removesuffix("/simple"),
        }
        assert "no package index" in refusal(env, tmp_path)
        assert proxy.asked == [seen]


def test_an_index_without_tls_elsewhere_is_not_asked(
    pip_env: dict[str, str], tmp_path: Path
) -> None:
    text = refusal({**pip_env, "PIP_INDEX_URL": "http://index.invalid/simple"}, tmp_path)
    assert text.splitlines()[0] == (
        "http://index.invalid/simple/tzdata/: is neither HTTPS nor a trusted-host of pip's"
    )


def test_no_index_at_all(pip_env: dict[str, str], tmp_path: Path) -> None:
    text = refusal({**pip_env, "PIP_NO_INDEX": "1"}, tmp_path)
    assert text.splitlines()[0] == "pip: has no index (no-index is set)"


def test_an_unknown_project(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    assert refusal(pip_env, tmp_path) == f"tzdata: is in no index (asked {page(index)})"


def test_an_index_without_hashes(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    bare = f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
    index.answers["/simple/tzdata/"] = lambda handler: handler.send(bare, "text/html")
    assert refusal(pip_env, tmp_path) == (
        f"tzdata: is listed without any SHA-256 (asked {page(index)})\n"
        "    hint: scratch.lock holds files to theirs: use an index that tells it (PEP 503)"
    )
    with serving() as extra:
        extra.add(WHEEL, b"1")
        found = ask({**pip_env, "PIP_EXTRA_INDEX_URL": extra.url}, tmp_path)["tzdata"]
    assert [each.version for each in found] == ["2026.1"]


def test_what_pip_would_not_download_yet_is_not_there(
    index: Index, pip_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uploaded-prior-to`, which pip has since version 26."""
    index.add(WHEEL, b"1", uploaded="2026-04-03T00:00:00Z")
    index.add("tzdata-2026.2-py3-none-any.whl", b"2", uploaded="2026-04-24T00:00:00Z")
    parse = DownloadCommand.parse_args

    def limited(self: DownloadCommand, args: list[str]) -> object:
        options, rest = parse(self, args)
        options.uploaded_prior_to = datetime(2026, 4, 24, tzinfo=UTC)
        return options, rest

    monkeypatch.setattr(DownloadCommand, "parse_args", limited)
    assert [each.version for each in ask(pip_env, tmp_path)["tzdata"]] == ["2026.1"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PIP_CONFIG_FILE", "[global", "pip: ended with status 2: File contains "
         "no section headers. file: "),
        ("PIP_TIMEOUT", "soon", "pip: ended with status 3: An error occurred during configuration: "
         "option timeout: invalid floating-point value: 'soon'"),
    ],
)  # fmt: skip
def test_pip_does_not_understand_its_configuration(
    name: str, value: str, text: str, pip_env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(value)
    env = {**pip_env, name: str(file) if name.endswith("FILE") else value}
    with pytest.raises(ConfigErrors) as caught:
        releases_of(("tzdata",), in_a_process(env, tmp_path), time.time())
    assert str(caught.value).startswith(text)


def test_nobody_is_there(pip_env: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    text = refusal({**pip_env, "PIP_INDEX_URL": f"http://u:s3cret@127.0.0.1:{port}/s"}, tmp_path)
    assert text == (
        f"http://127.0.0.1:{port}/s/tzdata/: cannot be reached (ConnectionError: [Errno 111] "
        "Connection refused)\n"
        "    hint: is the index reachable? `pip config list` shows what pip uses"
    )


def test_a_captive_portal(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    index.answers["/simple/tzdata/"] = lambda handler: handler.send(PORTAL, "text/html")
    assert "is there a captive portal" in refusal(pip_env, tmp_path)


def test_half_a_page(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    index.add(WHEEL, b"1")
    half = b"<a href='/files/tzdata/" + WHEEL.encode() + b"#sha256=" + b"a" * 64 + b"'>x</a>"
    index.answers["/simple/tzdata/"] = lambda handler: handler.send(half, "text/html", length=500)
    text = refusal(pip_env, tmp_path)
    assert "cut short" in text or "IncompleteRead" in text or "Connection broken" in text


def test_an_endless_page(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    endless = bytes(33 << 20)
    index.answers["/simple/tzdata/"] = lambda handler: handler.send(endless, JSON_TYPE)
    assert f"{page(index)}: sends more than {32 << 20} bytes" in refusal(pip_env, tmp_path)


@pytest.mark.parametrize("ahead", [-3, 2])
def test_clocks_that_differ(
    ahead: int, index: Index, pip_env: dict[str, str], tmp_path: Path
) -> None:
    index.add(WHEEL, b"1")
    index.now = 1_800_000_000
    text = refusal(pip_env, tmp_path, now=1_800_000_000 + ahead * 86400)
    theirs = time.strftime("%Y-%m-%d %H:%M", time.gmtime(1_800_000_000))
    ours = time.strftime("%Y-%m-%d %H:%M", time.gmtime(1_800_000_000 + ahead * 86400))
    assert text == (
        f"{page(index)}: its clock says {theirs}, this machine's {ours}\n"
        "    hint: set the clock: cooldowns and expiry dates hang on it"
    )
    assert len(ask(pip_env, tmp_path, now=1_800_000_000 + 3600)["tzdata"]) == 1


def test_an_index_that_is_a_folder(pip_env: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "simple" / "tzdata"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f'<a href="{WHEEL}#sha256={"a" * 64}">x</a>')
    url = (tmp_path / "simple").as_uri()
    assert len(ask({**pip_env, "PIP_INDEX_URL": url}, tmp_path)["tzdata"]) == 1


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (Ended(70, b"", b"ImportError: no create_command"),
         "pip: is of a version that cannot be asked (ImportError: no create_command)\n"
         "    hint: update pip"),
        (Ended(-9, b"", b""), "pip: ended with status -9: nothing"),
        (Ended(1, b"", b"No module named pip http://u:p@h/"),
         "pip: ended with status 1: No module named pip http://h/"),
    ],
)  # fmt: skip
def test_a_pip_that_fails(ended: Ended, text: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        releases_of(("tzdata",), lambda module, args: ended, 0)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"PIP_INDEX_URL": "https://u:hunter/2@127.0.0.1:1/simple"},
         "pip: ended with status 1: ValueError: is an index or a proxy no URL?"),
        ({"PIP_INDEX_URL": "https://u:hunter#2@127.0.0.1:1/simple"},
         "pip: ended with status 1: ValueError: is an index or a proxy no URL?"),
        ({"PIP_INDEX_URL": "u:hunter2@127.0.0.1:1/simple"},
         "127.0.0.1:1/simple/tzdata/: cannot be reached "
         "(InvalidSchema: is an index or a proxy no URL?)"),
        ({"PIP_INDEX_URL": "https:/u:hunter2@127.0.0.1:1/simple"},
         "https:/127.0.0.1:1/simple/tzdata/: cannot be reached "
         "(InvalidURL: is an index or a proxy no URL?)"),
        ({"PIP_INDEX_URL": "https://u:hunter 2@127.0.0.1:1/simple"},
         "https://127.0.0.1:1/simple/tzdata/: cannot be reached "
         "(ConnectionError: [Errno 111] Connection refused)"),
        ({"PIP_INDEX_URL": "https://h.invalid/simple", "PIP_PROXY": "http://u:hunter/2@127.0.0.1:1"},
         "https://h.invalid/simple/tzdata/: cannot be reached "
         "(InvalidURL: is an index or a proxy no URL?)"),
    ],
)  # fmt: skip
def test_what_is_not_quite_a_url_gives_no_secret_away(
    settings: dict[str, str], text: str, pip_env: dict[str, str], tmp_path: Path
) -> None:
    run = in_a_process({**pip_env, "PIP_RETRIES": "0", **settings}, tmp_path)
    with pytest.raises(ConfigErrors) as caught:
        releases_of(("tzdata",), run, time.time())
    assert str(caught.value).partition("\n")[0] == text
