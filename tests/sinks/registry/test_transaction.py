"""All tags or none: failures late in a push, killed pushes, pushes side by side."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.platform import Platform
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import delete_manifest
from scratchtasks.registry.reference import parse_repository
from scratchtasks.sinks.registry.plan import make_plan
from scratchtasks.sinks.registry.push import push
from tests.registry.proxy import Fault, Proxy, Seen
from tests.registry.servers import digest_in, registry, serving
from tests.registry.small import SmallRegistry

from .bench import AMD64, ARM64, QUICK, Bench

REFUSED = b'{"errors": [{"code": "DENIED", "message": "tag is immutable"}]}'


def _puts_tag(path: str) -> Fault:
    return Fault(
        lambda seen: seen.method == "PUT" and seen.path == path, times=99, status=403, body=REFUSED
    )


def test_a_refused_tag_puts_the_others_back(proxy: Proxy, bench: Bench, team: str) -> None:
    names = [f"{proxy.host}/{team}/{name}" for name in "abc"]
    old = bench.push(*(bench.image(name, b"old") for name in names))
    new = [bench.image(name, b"new") for name in names]
    proxy.faults.append(_puts_tag(f"/v2/{team}/b/manifests/latest"))
    with pytest.raises(SinkError) as error:
        bench.push(*new)
    assert str(error.value) == (
        f"PUT {names[1]}/manifests/latest: 403 DENIED: tag is immutable\n"
        "    every tag is where it was\n"
        f"    remaining: tags {names[0]}:latest, {names[1]}:latest, {names[2]}:latest\n"
        f"    hint: may this account push to {team}/b? docker login {proxy.host}"
    ).replace(f"{proxy.host}/{team}/b/manifests", f"{proxy.host}/v2/{team}/b/manifests")
    for name, before in zip("abc", old, strict=True):
        assert digest_in(proxy.host, f"{team}/{name}", "latest") == before.digest
    proxy.faults.clear()
    proxy.seen.clear()
    bench.push(*new)
    assert proxy.count("POST") == 0  # blobs and manifests were there
    for name, image in zip("abc", new, strict=True):
        assert digest_in(proxy.host, f"{team}/{name}", "latest") == image.top.digest


def test_two_registries_are_one_transaction(
    proxy: Proxy, registry_host: str, bench: Bench, team: str
) -> None:
    other = Proxy(registry_host)
    with serving(other):
        names = [f"{proxy.host}/{team}/a", f"{other.host}/{team}/b"]
        old = bench.push(*(bench.image(name, b"shared" * 99, b"old") for name in names))
        assert not [seen for seen in proxy.seen + other.seen if "mount=" in seen.path]
        other.faults.append(_puts_tag(f"/v2/{team}/b/manifests/latest"))
        new = [bench.image(name, b"shared" * 99, b"new") for name in names]
        with pytest.raises(SinkError) as error:
            bench.push(*new, limits=replace(QUICK, workers=1))
    assert str(error.value).splitlines()[1:3] == [
        "    every tag is where it was",
        f"    remaining: tags {', '.join(sorted(f'{name}:latest' for name in names))}",
    ]
    for name, before in zip("ab", old, strict=True):
        assert digest_in(registry_host, f"{team}/{name}", "latest") == before.digest


def test_a_tag_is_not_put_back_to_something_else(proxy: Proxy, bench: Bench, team: str) -> None:
    names = [f"{proxy.host}/{team}/{name}" for name in "ab"]
    old = bench.push(*(bench.image(name, b"old") for name in names))
    new = [bench.image(name, b"new") for name in names]
    proxy.faults += [
        _puts_tag(f"/v2/{team}/b/manifests/latest"),
        Fault(lambda s: s.method == "GET" and "/manifests/" in s.path, 99, 200, body=b"{}"),
    ]
    with pytest.raises(SinkError) as error:
        bench.push(*new, limits=replace(QUICK, workers=1))
    assert str(error.value).splitlines()[1] == (
        f"    {names[0]}:latest moved and could not be put back to {old[0].digest}: "
        f"{names[0]}@{old[0].digest}: digest mismatch: the registry sent {digest_of(b'{}')} "
        f"(now {new[0].top.digest})"
    )


@pytest.mark.parametrize("platforms", [(AMD64,), (AMD64, ARM64)])
def test_what_a_registry_drops_with_its_last_tag_is_put_back_whole(
    proxy: Proxy, bench: Bench, team: str, platforms: tuple[Platform, ...]
) -> None:
    a, b = (f"{proxy.host}/{team}/{name}" for name in "ab")
    old = bench.image(a, b"old", platforms=platforms)
    bench.push(old, bench.image(b, b"old"))
    whole = {old.top.digest, *(manifest.digest for manifest in old.manifests)}

    def drop() -> None:  # as zot does when a tag moves
        with Registry({}) as client:
            for digest in whole:
                assert delete_manifest(client, parse_repository(a), digest)

    refusal = _puts_tag(f"/v2/{team}/b/manifests/latest")
    proxy.faults.append(replace(refusal, times=1, act=drop))
    with pytest.raises(SinkError, match="\n    every tag is where it was\n"):
        bench.push(
            *(bench.image(name, b"new", platforms=platforms) for name in (a, b)),
            limits=replace(QUICK, workers=1),
        )
    assert digest_in(proxy.host, f"{team}/a", "latest") == old.top.digest
    assert {digest_in(proxy.host, f"{team}/a", digest) for digest in whole} == whole


@pytest.mark.parametrize("tag", ["latest", "new"])
def test_a_tag_that_somebody_moved_while_blobs_were_sent_is_put_back_to_that(
    proxy: Proxy, bench: Bench, team: str, tag: str
) -> None:
    a, b = (f"{proxy.host}/{team}/{name}" for name in "ab")
    old = bench.push(bench.image(a, b"old"), bench.image(b, b"old"))
    hotfix = bench.image(a, b"hotfix", tags=(tag,))
    proxy.faults += [
        _puts_tag(f"/v2/{team}/b/manifests/latest"),
        Fault(
            lambda seen: seen.method == "POST" and f"/{team}/a/" in seen.path,
            act=lambda: bench.push(hotfix),
        ),
    ]
    ours = [bench.image(a, b"ours", tags=(tag,)), bench.image(b, b"ours")]
    with pytest.raises(SinkError, match="\n    every tag is where it was\n"):
        bench.push(*ours, limits=replace(QUICK, workers=1))
    assert [s.path for s in proxy.seen].count(f"/v2/{team}/a/manifests/{tag}") > 3  # it was set
    assert digest_in(proxy.host, f"{team}/a", tag) == hotfix.top.digest
    assert digest_in(proxy.host, f"{team}/b", "latest") == old[1].digest


def test_a_tag_that_somebody_moved_while_blobs_were_sent_is_ours_when_all_went_well(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    repository = f"{proxy.host}/{team}/api"
    hotfix, ours = bench.image(repository, b"hotfix"), bench.image(repository, b"ours")
    fault = Fault(lambda seen: seen.method == "POST", act=lambda: bench.push(hotfix))
    proxy.faults.append(fault)
    bench.push(ours)
    assert digest_in(proxy.host, f"{team}/api", "latest") == ours.top.digest


def test_a_tag_that_a_push_beside_this_one_set_to_the_same_stays(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    a, b = (bench.image(f"{proxy.host}/{team}/{name}", b"new") for name in "ab")
    proxy.faults += [
        _puts_tag(f"/v2/{team}/b/manifests/latest"),
        Fault(
            lambda seen: seen.method == "POST" and f"/{team}/a/" in seen.path,
            act=lambda: bench.push(a),
        ),
    ]
    with pytest.raises(SinkError, match="\n    every tag is where it was\n"):
        bench.push(a, b, limits=replace(QUICK, workers=1))
    assert digest_in(proxy.host, f"{team}/a", "latest") == a.top.digest


def _refuse_second(bench: Bench, proxy: Proxy, team: str, *contents: bytes) -> tuple[str, str]:
    """Push a new image with the new tags 1 and 2, of which 2 is refused: its digest, the error."""
    image = bench.image(f"{proxy.host}/{team}/api", *contents, tags=("1", "2"))
    proxy.faults.append(_puts_tag(f"/v2/{team}/api/manifests/2"))
    with pytest.raises(SinkError) as error:
        bench.push(image, limits=replace(QUICK, workers=1))
    proxy.faults.clear()
    return image.top.digest, str(error.value)


def test_a_new_tag_is_taken_away_by_a_registry_that_deletes_by_digest_only(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    digest, error = _refuse_second(bench, proxy, team, b"a")
    assert error.splitlines()[1] == "    every tag is where it was"
    for tag in "12":
        assert digest_in(proxy.host, f"{team}/api", tag) == ""
    # The image itself stays, as it does when a push fails before its tags: the next one goes on.
    assert digest_in(proxy.host, f"{team}/api", digest) == digest
    proxy.seen.clear()
    bench.push(bench.image(f"{proxy.host}/{team}/api", b"a", tags=("1", "2")))
    assert proxy.count("POST") == 0
    for tag in "12":
        assert digest_in(proxy.host, f"{team}/api", tag) == digest


def test_other_tags_of_the_same_image_stay_when_a_new_one_is_taken_away(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    bench.push(bench.image(f"{proxy.host}/{team}/api", b"a", tags=("theirs",)))
    digest, error = _refuse_second(bench, proxy, team, b"a")
    assert error.splitlines()[1] == "    every tag is where it was"
    assert digest_in(proxy.host, f"{team}/api", "theirs") == digest
    assert digest_in(proxy.host, f"{team}/api", "1") == ""


def test_a_new_tag_of_an_index_is_taken_away(proxy: Proxy, bench: Bench, team: str) -> None:
    repository = f"{proxy.host}/{team}/api"
    both = bench.image(repository, b"a", tags=("1", "2"), platforms=(AMD64, ARM64))
    proxy.faults.append(_puts_tag(f"/v2/{team}/api/manifests/2"))
    with pytest.raises(SinkError, match="\n    every tag is where it was\n"):
        bench.push(both, limits=replace(QUICK, workers=1))
    assert digest_in(proxy.host, f"{team}/api", "1") == ""
    assert digest_in(proxy.host, f"{team}/api", both.top.digest) == both.top.digest


def test_new_tags_and_moved_ones_of_one_image(proxy: Proxy, bench: Bench, team: str) -> None:
    repository = f"{proxy.host}/{team}/api"
    (old,) = bench.push(bench.image(repository, b"old"))
    proxy.faults.append(_puts_tag(f"/v2/{team}/api/manifests/2"))
    image = bench.image(repository, b"new", tags=("latest", "1", "2"))
    with pytest.raises(SinkError, match="\n    every tag is where it was\n"):
        bench.push(image, limits=replace(QUICK, workers=1))
    assert digest_in(proxy.host, f"{team}/api", "latest") == old.digest
    assert digest_in(proxy.host, f"{team}/api", "1") == ""


def _reads_late(path: str, was: str, times: int) -> Fault:
    """HEAD tells the first *times* that the tag at *path* means *was*, "" for nothing."""
    headers = {"Docker-Content-Digest": was} if was else {}
    status = 200 if was else 404
    return Fault(lambda s: str(s) == f"HEAD {path}", times, status=status, headers=headers)


@pytest.mark.parametrize("is_new", [False, True])
def test_a_registry_that_tells_late_what_a_tag_means(
    proxy: Proxy, bench: Bench, team: str, is_new: bool
) -> None:
    name, path = f"{proxy.host}/{team}/api", f"/v2/{team}/api/manifests/1"
    was = "" if is_new else bench.push(bench.image(name, b"old", tags=("1",)))[0].digest
    proxy.faults.append(_reads_late(path, was, 3))  # the plan, before the tag, and after it
    _, error = _refuse_second(bench, proxy, team, b"new")
    assert error.splitlines()[1] == "    every tag is where it was"
    assert digest_in(proxy.host, f"{team}/api", "1") == was


def test_one_that_deletes_nothing_either(bench: Bench, team: str, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", deletes=False) as host:
        proxy = Proxy(host)
        with serving(proxy):
            proxy.faults.append(_reads_late(f"/v2/{team}/api/manifests/1", "", 99))
            digest, error = _refuse_second(bench, proxy, team, b"a")
    name = f"{proxy.host}/{team}/api:1"
    assert error.splitlines()[1] == (
        f"    {name} is new and stays: this registry deletes nothing (now {digest}; "
        f"to remove it, where that is allowed: regctl tag delete {name})"
    )


def test_a_registry_that_deletes_nothing(bench: Bench, team: str, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", deletes=False) as host:
        proxy = Proxy(host)
        with serving(proxy):
            digest, error = _refuse_second(bench, proxy, team, b"a")
            name = f"{proxy.host}/{team}/api"
            assert error == (
                f"PUT {proxy.host}/v2/{team}/api/manifests/2: 403 DENIED: tag is immutable\n"
                f"    {name}:1 is new and stays: this registry deletes nothing (now {digest}; "
                f"to remove it, where that is allowed: regctl tag delete {name}:1)\n"
                f"    remaining: tags {name}:1, {name}:2\n"
                f"    hint: may this account push to {team}/api? docker login {proxy.host}"
            )
            assert digest_in(host, f"{team}/api", "1") == digest
            assert digest_in(host, f"{team}/api", "2") == ""
            # It was not touched: the one manifest that was put is ours.
            assert [
                s.path for s in proxy.seen if s.method == "PUT" and "/manifests/" in s.path
            ] == [f"/v2/{team}/api/manifests/{reference}" for reference in (digest, "1", "2")]


def test_an_account_that_may_not_delete(proxy: Proxy, bench: Bench, team: str) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "requested access is denied"}]}'
    fault = Fault(lambda seen: seen.method == "DELETE", times=99, status=403, body=body)
    proxy.faults.append(fault)
    digest, error = _refuse_second(bench, proxy, team, b"a")
    told = error.splitlines()[1]
    name = f"{proxy.host}/{team}/api"
    start = f"    {name}:1 is new and stays: DELETE {proxy.host}/v2/{team}/api/manifests/sha256:"
    assert told.startswith(start)
    assert told[len(start) + 64 :] == (
        f": 403 DENIED: requested access is denied (now {digest}; "
        f"to remove it, where that is allowed: regctl tag delete {name}:1)"
    )
    assert digest_in(proxy.host, f"{team}/api", "1") == digest


def test_a_registry_that_keeps_the_tags_of_what_it_deletes(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    proxy.faults.append(Fault(lambda seen: seen.method == "DELETE", times=99, status=202))
    digest, error = _refuse_second(bench, proxy, team, b"a")
    assert ":1 is new and stays: this registry keeps the tags of what it deletes (now" in error
    assert digest_in(proxy.host, f"{team}/api", "1") == digest  # not what stood in for it


@pytest.mark.parametrize("is_last", [True, False])
def test_a_tag_that_is_left_as_its_stand_in_is_told_as_what_it_is(
    proxy: Proxy, bench: Bench, team: str, is_last: bool
) -> None:
    path = f"/v2/{team}/api/manifests/1"

    def is_stand_in(seen: Seen) -> bool:
        before = [str(each) for each in proxy.seen[:-1]]
        return str(seen) == f"PUT {path}" and str(seen) in before  # the first one sets the tag

    # It is stored, and its answer is lost, until no more is tried.
    proxy.faults.append(Fault(is_stand_in, times=QUICK.attempts, deaf=True))
    if is_last:
        proxy.faults.append(Fault(is_stand_in, times=99, status=403, body=REFUSED))
    digest, error = _refuse_second(bench, proxy, team, b"a")
    now = digest_in(proxy.host, f"{team}/api", "1")
    assert f":1 is new and stays: PUT {proxy.host}{path}: " in error
    assert f"(now {now}; " in error
    assert (now == digest) is not is_last


def test_a_new_tag_is_taken_away_by_a_registry_that_deletes_tags(bench: Bench) -> None:
    small = SmallRegistry()
    proxy = Proxy(small.host)
    with serving(small), serving(proxy):
        digest, error = _refuse_second(bench, proxy, "team", b"a")
        assert error.splitlines()[1] == "    every tag is where it was"
        assert set(small.manifests) == {digest}


def test_a_new_tag_is_taken_away_by_a_registry_that_deletes_nothing_but_tags(bench: Bench) -> None:
    # docker-registry 3.0 and 3.1.0 as they come: `storage.delete` is about manifests there.
    small = SmallRegistry()
    proxy = Proxy(small.host)
    fault = Fault(lambda s: s.method == "DELETE" and "sha256:" in s.path, times=99, status=405)
    proxy.faults.append(fault)
    with serving(small), serving(proxy):
        digest, error = _refuse_second(bench, proxy, "team", b"a")
        assert error.splitlines()[1] == "    every tag is where it was"
        assert digest in small.manifests
        assert not {"1", "2"} & set(small.manifests)


def test_a_registry_that_dies_among_the_tags_is_waited_for_once(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    names = [f"{proxy.host}/{team}/{name}" for name in "abcd"]
    bench.push(*(bench.image(name, b"old") for name in names))
    new = [bench.image(name, b"new") for name in names]
    last = f"PUT /v2/{team}/d/manifests/latest"
    seen: list[str] = []

    def is_dead(request: Seen) -> bool:
        if str(request) == last or seen:
            seen.append(request.method)
        return bool(seen)

    proxy.faults.append(Fault(is_dead, times=99, after=0))
    with pytest.raises(SinkError) as error:
        bench.push(*new, limits=replace(QUICK, workers=1, attempts=2, insistence=3))
    asked = f"HEAD {proxy.host}/v2/{team}/a/manifests/latest: the connection was dropped"
    assert str(error.value).splitlines()[1:5] == [
        f"    {name}:latest may have moved to {image.top.digest}: {asked}"
        for name, image in zip(names, new, strict=True)
    ]
    assert seen == ["PUT"] * 3 + ["HEAD"] * 3


def test_tags_are_put_with_more_patience(proxy: Proxy, bench: Bench, team: str) -> None:
    # Twice as often as anything else: what fails here leaves a push half done.
    path = f"/v2/{team}/api/manifests/latest"
    proxy.faults.append(Fault(lambda s: s.method == "PUT" and s.path == path, 9, 503))
    image = bench.image(f"{proxy.host}/{team}/api", b"a")
    bench.push(image, limits=replace(QUICK, backoff=0.001))
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b'{"errors": [{"code": "DENIED"}]}'),
        (400, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}'),
    ],
)
def test_what_would_refuse_a_tag_is_found_before_any_is_set(
    proxy: Proxy, bench: Bench, team: str, status: int, body: bytes
) -> None:
    images = [bench.image(f"{proxy.host}/{team}/{name}", b"x", tags=()) for name in "ab"]
    bench.push(*images)
    proxy.seen.clear()
    fault = Fault(lambda s: s.method == "PUT" and f"/{team}/b/" in s.path, 99, status, body=body)
    proxy.faults.append(fault)
    with pytest.raises(SinkError, match="\n    every tag is where it was\n"):
        bench.push(*(replace(image, tags=("1",)) for image in images))
    assert not [s for s in proxy.seen if s.path.endswith("/1") and s.method != "HEAD"]


def test_a_registry_that_takes_no_manifest_twice(proxy: Proxy, bench: Bench, team: str) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", b"x", tags=())
    bench.push(image)
    proxy.faults.append(Fault(lambda s: s.method == "PUT" and "sha256:" in s.path, 9, 400))
    bench.push(replace(image, tags=("1", "2")))
    assert digest_in(proxy.host, f"{team}/api", "2") == image.top.digest


def test_no_tag_moves_while_a_blob_of_another_image_is_missing(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    a = bench.image(f"{proxy.host}/{team}/a", b"a")
    b = bench.image(f"{proxy.host}/{team}/b", b"b")
    proxy.faults.append(
        Fault(
            lambda seen: seen.method == "POST" and f"/{team}/b/" in seen.path,
            times=99,
            status=404,
            body=b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no such repository"}]}',
        )
    )
    with pytest.raises(SinkError) as error:
        bench.push(a, b)
    assert "404 NAME_UNKNOWN: no such repository" in str(error.value)
    assert f"hint: create the repository {team}/b first" in str(error.value)
    assert not [s for s in proxy.seen if s.method == "PUT" and "/manifests/" in s.path]


def test_two_images_for_one_tag(proxy: Proxy, bench: Bench, team: str) -> None:
    a = bench.image(f"{proxy.host}/{team}/api", b"a", name="a")
    b = bench.image(f"{proxy.host}/{team}/api", b"b", name="b")
    with pytest.raises(SinkError) as error:
        bench.push(a, b)
    assert str(error.value) == (
        f"{proxy.host}/{team}/api:latest: both //services/a:image and //services/b:image "
        "are to be pushed there\n"
        "    hint: give one of them another push.repository, or other push.tags"
    )
    assert not proxy.seen


def test_a_blob_that_the_store_lost_is_found_before_anything_is_sent(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", b"a")
    lost = image.blobs[2]
    os.unlink(bench.store.path(lost.digest))
    with pytest.raises(SinkError) as error:
        bench.push(image)
    assert str(error.value) == (
        f"push: blob {lost.digest} is missing\n    hint: build the image again"
    )
    assert proxy.count("POST", "PUT") == 0


def test_two_pushes_side_by_side(proxy: Proxy, bench: Bench, team: str) -> None:
    images = [
        bench.image(f"{proxy.host}/{team}/s{n}", b"shared" * 50_000, str(n).encode())
        for n in range(4)
    ]
    failures: list[BaseException] = []

    def run() -> None:
        try:
            bench.push(*images)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for number, image in enumerate(images):
        assert digest_in(proxy.host, f"{team}/s{number}", "latest") == image.top.digest


def test_cancelled_before_the_tags(proxy: Proxy, bench: Bench, team: str) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", bytes(5 << 20))
    with Registry({}, limits=QUICK) as client:
        plan = make_plan([image], client, bench.store)
        proxy.faults.append(Fault(lambda s: s.method == "PATCH", deaf=True, act=client.cancel))
        with pytest.raises(SinkError) as error:
            push(plan, client, bench.store)
    assert str(error.value).startswith("push: interrupted\n    every tag is where it was\n")
    assert str(error.value).endswith("hint: run it again: it continues where it was")
    assert digest_in(proxy.host, f"{team}/api", "latest") == ""
