"""Every fault at every step of a push: the right images or a clear error, and tags untouched."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.registry.plan import PushImage
from tests.registry.proxy import Fault, Proxy, Seen
from tests.registry.servers import digest_in

from .bench import QUICK, Bench

LIMITS = replace(QUICK, attempts=2, insistence=3, backoff=0.001, chunk=1 << 10)
SHORT = 0.4  # seconds for an answer that drips; a busy machine needs more for the others
LAYER = 2_500  # bytes: three chunks
AGAIN = "push again: it continues where it was"
WRONG = digest_of(b"something else")


@dataclass(frozen=True)
class Case:
    """What befalls a request again and again, and what is said of it in the end."""

    fault: Fault
    what: str
    hint: str = AGAIN


CASES = {
    "drip": Case(Fault(bool, drips=0.01), f"no whole answer within {SHORT} s"),
    "redirect": Case(
        Fault(bool, status=307, headers={"Location": "http://127.0.0.1:1/evil"}),
        "answered 307, a redirect to 127.0.0.1:1: not followed with what is being sent",
    ),
    "500": Case(Fault(bool, status=500), "500 INTERNAL SERVER ERROR"),
    "wrong-digest": Case(
        Fault(bool, change=lambda headers: headers | {"docker-content-digest": WRONG}),
        f"the registry says it stored '{WRONG}' (wanted …)",
        "the bytes were changed on the way, or the registry is broken",
    ),
    "cut": Case(Fault(bool, after=1), "the connection was dropped"),
    "deaf": Case(Fault(bool, deaf=True), "the connection was dropped"),  # after the deed
}
METHODS = {"chunk": "PATCH", "blob": "PUT", "manifest": "PUT", "tag": "PUT"}
HARMLESS = {("wrong-digest", "chunk")}  # only the whole blob has a digest


def _step_of(seen: Seen) -> str:
    path = seen.path.partition("?")[0]
    if "/blobs/" in path:
        return {"PATCH": "chunk", "PUT": "blob"}.get(seen.method, "")
    if seen.method != "PUT":
        return ""
    return "tag" if path.endswith("/latest") else "manifest"


def _befalls(path: str, step: str) -> Callable[[Seen], bool]:
    return lambda seen: path in seen.path and _step_of(seen) == step


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("step", METHODS)
@pytest.mark.parametrize("kind", CASES)
def test_any_fault_at_any_step(
    proxy: Proxy, bench: Bench, team: str, kind: str, step: str, workers: int
) -> None:
    names = [f"{proxy.host}/{team}/{name}" for name in "ab"]
    old = bench.push(*(bench.image(name, b"old") for name in names))
    new = [bench.image(name, name[-1:].encode() * LAYER) for name in names]
    case = CASES[kind]
    fault = replace(case.fault, when=_befalls(f"/{team}/b/", step), times=999)
    proxy.faults.append(fault)
    wanted = [image.top.digest for image in new]
    limits = replace(LIMITS, workers=workers, answer=SHORT if kind == "drip" else LIMITS.answer)
    if (kind, step) in HARMLESS:
        bench.push(*new, limits=limits)
    else:
        with pytest.raises(SinkError) as error:
            bench.push(*new, limits=limits)
        wanted = [pushed.digest for pushed in old]
        _check_words(str(error.value), case, step, new)
    assert fault.times < 999
    assert [digest_in(proxy.host, f"{team}/{name}", "latest") for name in "ab"] == wanted

    proxy.faults.clear()
    bench.push(*new)
    wanted = [image.top.digest for image in new]
    assert [digest_in(proxy.host, f"{team}/{name}", "latest") for name in "ab"] == wanted


def _check_words(error: str, case: Case, step: str, images: list[PushImage]) -> None:
    host, _, path = images[1].repository.partition("/")
    # Which of the image's blobs came first is chance, and so is what remains beside it.
    error = re.sub(r"sha256:[0-9a-f]{64}(?!')|(?<=uploads/)[0-9a-f-]{36}", "…", error)
    first, state, remaining, hint = error.splitlines()
    place = {"manifest": "manifests/…", "tag": "manifests/latest"}
    where = f"{METHODS[step]} {host}/v2/{path}/{place.get(step, 'blobs/uploads/…')}"
    assert first == f"{where}: {case.what}"
    assert state == "    every tag is where it was"
    tags = f"tags {images[0].repository}:latest, {images[1].repository}:latest"
    assert remaining.startswith("    remaining: ")
    assert remaining.endswith(tags)
    assert hint == f"    hint: {case.hint}"
