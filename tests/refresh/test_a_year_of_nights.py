"""A year of nights with the releases that really came in it, and a fault on every third of them.

Whatever happens, the lock is whole each morning, images that a night did not touch keep their
digest, and at the end every image equals a clean build of the lock of the night that made it.
"""

import hashlib
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from scratchtasks.config.lockfile import parse_lockfile
from scratchtasks.core.errors import ScratchError

from .index_server import PORTAL, File, Index
from .nights import SERVICES, build_all, digests, make_workspace, night, session_at
from .wheels import UPLOADED, pin_of, wheel

START = datetime(2025, 11, 26, 3, 17, tzinfo=UTC)
TOUCHED = {"certifi": {"api", "tls"}, "tzdata": {"api", "clock"}}
"""Which services ship what."""


def _nothing(index: Index, now: float) -> None:
    """All is well."""


def _unreachable(index: Index, now: float) -> None:
    index.answers["/simple/tzdata/"] = lambda handler: handler.connection.close()


def _half_a_page(index: Index, now: float) -> None:
    index.answers["/simple/certifi/"] = lambda handler: handler.send(
        b'{"meta": {"api-version"', "application/vnd.pypi.simple.v1+json", length=5000
    )


def _portal(index: Index, now: float) -> None:
    index.answers["/simple/certifi/"] = lambda handler: handler.send(PORTAL, "text/html")


def _clock(index: Index, now: float) -> None:
    index.now = now - 400 * 86400


def _wrong_hash(index: Index, now: float) -> None:
    _add(index, "certifi-2099.1-py3-none-any.whl", now, sha256="e" * 64)


def _half_a_file(index: Index, now: float) -> None:
    name = _add(index, "tzdata-2099.1-py3-none-any.whl", now)
    index.answers[f"/files/tzdata/{name}"] = lambda handler: handler.send(
        b"half", "application/zip", length=9999
    )


def _yanked(index: Index, now: float) -> None:
    _add(index, "certifi-2099.2-py3-none-any.whl", now, yanked="a mistake")


def _add(index: Index, name: str, now: float, **more: str) -> str:
    when = datetime.fromtimestamp(now, UTC) - timedelta(days=9)
    return index.add(name, b"no wheel", uploaded=when.isoformat(), **more).name


FAULTS: dict[str, Callable[[Index, float], None]] = {
    "unreachable": _unreachable,
    "half a page": _half_a_page,
    "portal": _portal,
    "clock": _clock,
    "wrong hash": _wrong_hash,
    "half a file": _half_a_file,
    "yanked": _yanked,
}
SLOW = ("wrong hash", "half a file")
"""These start a real download, so they come once each."""


def published(index: Index, moment: datetime) -> None:
    """Let *index* be as PyPI was at *moment*."""
    index.files, index.answers, index.now = {"certifi": [], "tzdata": []}, {}, moment.timestamp()
    for release, uploaded in UPLOADED.items():
        if datetime.fromisoformat(uploaded) <= moment:
            path = wheel(release)
            data, sha256 = _wheel(release)
            file = File(path.name, data, uploaded, sha256=sha256)
            index.files[release.partition("-")[0]].append(file)


@cache
def _wheel(release: str) -> tuple[bytes, str]:
    data = wheel(release).read_bytes()
    return data, hashlib.sha256(data).hexdigest()


def test_a_year(index: Index, pip_env: dict[str, str], tmp_path: Path) -> None:
    chance = random.Random(6)
    pins = {"certifi": pin_of("certifi-2025.11.12"), "tzdata": pin_of("tzdata-2025.2")}
    root = make_workspace(tmp_path / "ws", pins)
    (root / "scratch.toml").write_text("[refresh]\ncooldown_days = 2\n")
    lock = root / "scratch.lock"
    shipped = build_all(root)
    locks = {lock.read_text(): shipped}
    slow = list(SLOW)
    outcomes: dict[str, int] = {}
    moved: list[str] = []
    for number in range(366):
        moment = START + timedelta(days=number)
        published(index, moment)
        word = chance.choice([*FAULTS]) if number % 3 == 2 else ""
        if word in SLOW:
            word = slow.pop() if slow else "portal"
        FAULTS.get(word, _nothing)(index, moment.timestamp())
        before = lock.read_text()
        try:
            proposal, outcome = night(root, pip_env, moment.timestamp())
        except ScratchError:
            assert word not in ("", "yanked")
            outcome = f"fault: {word}"
            assert lock.read_text() == before
        else:
            assert word in ("", "yanked")
            assert (outcome == "refreshed") == (lock.read_text() != before)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        parse_lockfile(lock.read_text())
        if outcome == "refreshed":
            names = [move.new.name for move in proposal.moves]
            moved += [f"{move.new.name}-{move.new.version}" for move in proposal.moves]
            touched = set().union(*(TOUCHED[name] for name in names))
            assert set(proposal.affected) <= touched
            after = build_all(root)
            foretold = {image.name: image.new for image in proposal.images}
            assert after == foretold
            assert {name for name in after if after[name] != shipped[name]} == set(
                proposal.affected
            )
            shipped = locks[lock.read_text()] = after
    assert outcomes["nothing"] > 200
    assert len([word for word in outcomes if word.startswith("fault")]) == len(FAULTS) - 1
    year = [release for release, uploaded in UPLOADED.items() if uploaded > "2025-11-26"]
    assert sorted(moved) == sorted(year)
    assert len(locks) > 12
    for number, (text, built) in enumerate(locks.items()):
        clean = make_workspace(tmp_path / f"clean-{number}", parse_lockfile(text))
        # Wheels are the only thing taken over: they are held to their hashes.
        session = session_at(clean)
        for pin in parse_lockfile(text).values():
            path = str(wheel(f"{pin.name}-{pin.version}"))
            session.world.store.put_file(path, "application/zip")
        session.close()
        assert build_all(clean) == built
        shutil.rmtree(clean)
    assert set(digests(root)) == set(SERVICES)
