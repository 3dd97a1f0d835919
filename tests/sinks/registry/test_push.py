"""What a push sends, counted in requests and bytes, and what other tools then find."""

import json
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.registry.client import Registry
from scratchtasks.sinks.registry.plan import make_plan
from tests.registry.proxy import Fault, Proxy
from tests.registry.servers import digest_in

from .bench import AMD64, ARM64, QUICK, Bench


def test_first_push_and_what_skopeo_finds(
    proxy: Proxy, bench: Bench, team: str, tmp_path: Path
) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", b"certs", b"binary", tags=("1.2", "latest"))
    (pushed,) = bench.push(image)
    assert str(pushed) == f"{proxy.host}/{team}/api@{image.top.digest}"
    assert pushed.to_json() == {
        "name": "api",
        "repository": f"{proxy.host}/{team}/api",
        "digest": image.top.digest,
        "references": [f"{proxy.host}/{team}/api:1.2", f"{proxy.host}/{team}/api:latest"],
    }
    # HEAD: 2 tags, the digest, 3 blobs, the tags again; POST and PUT per blob; the digest, 2 tags.
    assert (proxy.count("HEAD"), proxy.count("POST"), proxy.count("PUT")) == (8, 3, 6)
    puts = [str(seen) for seen in proxy.seen if seen.method == "PUT"]
    assert puts[3] == f"PUT /v2/{team}/api/manifests/{image.top.digest}"
    assert set(puts[4:]) == {f"PUT /v2/{team}/api/manifests/{t}" for t in ("1.2", "latest")}
    for tag in ("1.2", "latest"):
        source = f"docker://{proxy.host}/{team}/api:{tag}"
        told = json.loads(_run("skopeo", "inspect", "--tls-verify=false", source))
        assert told["Digest"] == image.top.digest
    _run("skopeo", "copy", "--src-tls-verify=false", source, f"dir:{tmp_path}/copy")
    assert digest_of((tmp_path / "copy" / "manifest.json").read_bytes()) == image.top.digest


def test_nothing_changed_costs_one_head_per_tag(proxy: Proxy, bench: Bench, team: str) -> None:
    repository = f"{proxy.host}/{team}/api"
    image = bench.image(repository, b"a", tags=("1.2", "latest"))
    bench.push(image)
    proxy.seen.clear()
    assert bench.push(image)[0].digest == image.top.digest
    assert sorted(map(str, proxy.seen)) == [
        f"HEAD /v2/{team}/api/manifests/1.2",
        f"HEAD /v2/{team}/api/manifests/latest",
    ]


def test_a_changed_layer_is_all_that_is_sent(proxy: Proxy, bench: Bench, team: str) -> None:
    repository = f"{proxy.host}/{team}/api"
    bench.push(bench.image(repository, b"certs" * 1000, b"binary 1"))
    proxy.seen.clear()
    image = bench.image(repository, b"certs" * 1000, b"binary 2")
    top, config = image.top, image.blobs[1]
    bench.push(image)
    bodies = sorted(seen.size for seen in proxy.seen if seen.size)
    assert bodies == sorted([len(b"binary 2"), config.size, top.size, top.size])
    # HEAD: the tag, the digest, three blobs, the tag again; POST and PUT: two blobs; PUT: the
    # digest, the tag.
    assert (proxy.count("HEAD"), proxy.count("POST"), proxy.count("PUT")) == (6, 2, 4)
    assert len(proxy.seen) == 12
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_a_new_tag_of_a_known_image_moves_one_manifest(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    repository = f"{proxy.host}/{team}/api"
    bench.push(bench.image(repository, b"a"))
    proxy.seen.clear()
    bench.push(bench.image(repository, b"a", tags=("latest", "2.0")))
    assert proxy.count("HEAD") == 2 + 1  # the tag that moves, once more before it does
    assert [str(seen) for seen in proxy.seen if seen.method != "HEAD"] == [
        f"PUT /v2/{team}/api/manifests/2.0"
    ]


def test_without_tags_the_image_is_there_by_digest(proxy: Proxy, bench: Bench, team: str) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", b"a", tags=())
    for _ in range(2):
        (pushed,) = bench.push(image)
        assert pushed.references == ()
    assert str(proxy.seen[-1]) == f"HEAD /v2/{team}/api/manifests/{image.top.digest}"
    assert digest_in(proxy.host, f"{team}/api", image.top.digest) == image.top.digest


def test_twenty_images_that_share_essentials(proxy: Proxy, bench: Bench, team: str) -> None:
    certs, zones = bytes(range(256)) * 400, b"zones" * 9000
    images = [
        bench.image(f"{proxy.host}/{team}/s{n}", zones, certs, f"binary {n}".encode())
        for n in range(20)
    ]
    bench.push(*images)
    uploads = [seen.size for seen in proxy.seen if seen.method == "PUT" and "/blobs/" in seen.path]
    # The config names the layers, so each image has its own; what is shared is sent once and
    # comes to the other nineteen by mounts.
    assert (uploads.count(len(certs)), uploads.count(len(zones))) == (1, 1)
    assert len(uploads) == 2 + 20 + 20
    assert sum("mount=" in seen.path for seen in proxy.seen) == 2 * 19
    # HEAD: a tag, a digest, four blobs for each, the tag again; POST: each blob; PUT: the digest
    # and the tag.
    assert proxy.count("HEAD") == 20 * 7
    assert proxy.count("POST") == 20 * 4
    assert proxy.count("PUT") == len(uploads) + 20 * 2
    assert len(proxy.seen) == 20 * 7 + 20 * 4 + len(uploads) + 20 * 2
    for number, image in enumerate(images):
        assert digest_in(proxy.host, f"{team}/s{number}", "latest") == image.top.digest

    proxy.seen.clear()
    bench.push(*images)
    assert sorted(map(str, proxy.seen)) == sorted(
        f"HEAD /v2/{team}/s{n}/manifests/latest" for n in range(20)
    )


def test_a_blob_is_mounted_from_an_image_that_is_not_pushed_now(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    first = bench.image(f"{proxy.host}/{team}/a", b"shared" * 99, b"a")
    second = bench.image(f"{proxy.host}/{team}/b", b"shared" * 99, b"b")
    bench.push(first)
    with Registry({}, limits=QUICK) as registry:
        plan = make_plan([second], registry, bench.store, [first])
    config = second.blobs[1]
    assert plan.size == config.size + 1
    proxy.seen.clear()
    bench.push(second, siblings=[first])
    assert sum("mount=" in seen.path for seen in proxy.seen) == 1
    assert digest_in(proxy.host, f"{team}/b", "latest") == second.top.digest


def test_a_mount_that_is_refused_is_an_upload_session(
    proxy: Proxy, bench: Bench, team: str, registry_host: str
) -> None:
    first = bench.image(f"{proxy.host}/{team}/a", b"shared" * 99)
    second = bench.image(f"{proxy.host}/{team}/b", b"shared" * 99, b"b")
    bench.push(first)
    with Registry({}, limits=QUICK) as registry:
        plan = make_plan([second], registry, bench.store, [first])
        shared = next(step for step in plan.blobs if step.mount_from)
        # Between plan and push somebody deletes the source.
        url = f"http://{registry_host}/v2/{team}/a/blobs/{shared.blob.digest}"
        _run("/usr/bin/env", "python3", "-c", _DELETE, url)
        proxy.seen.clear()
        from scratchtasks.sinks.registry.push import push

        push(plan, registry, bench.store)
    posts = [seen.path for seen in proxy.seen if seen.method == "POST"]
    assert sum("mount=" in path for path in posts) == 1
    assert len(posts) == len(plan.blobs)
    assert digest_in(proxy.host, f"{team}/b", "latest") == second.top.digest


def test_platforms_come_before_the_index_and_the_index_before_tags(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", b"a", platforms=(AMD64, ARM64))
    bench.push(image)
    puts = [
        seen.path.rpartition("/")[2]
        for seen in proxy.seen
        if seen.method == "PUT" and "/manifests/" in seen.path
    ]
    assert set(puts[:2]) == {manifest.digest for manifest in image.manifests}
    assert puts[2:] == [image.top.digest, "latest"]
    source = f"docker://{proxy.host}/{team}/api"
    raw = _run("skopeo", "inspect", "--tls-verify=false", "--raw", source)
    assert digest_of(raw) == image.top.digest


def test_a_platform_that_was_deleted_below_its_index_comes_back_with_a_tag(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    name = f"{proxy.host}/{team}/api"
    bench.push(bench.image(name, b"a", platforms=(AMD64, ARM64)))
    image = bench.image(name, b"a", platforms=(AMD64, ARM64), tags=("latest", "2.0"))
    lost = image.manifests[1].digest
    url = f"http://{proxy.host}/v2/{team}/api/manifests/{lost}"
    _run("/usr/bin/env", "python3", "-c", _DELETE, url)
    proxy.seen.clear()
    bench.push(image)
    assert [str(seen).rpartition("/")[2] for seen in proxy.seen if seen.method == "PUT"] == [
        lost,
        image.top.digest,
        "2.0",
    ]
    assert digest_in(proxy.host, f"{team}/api", lost) == lost


@pytest.mark.parametrize("tags", [("2.0",), ("2.0", "2.1")])
def test_a_blob_that_was_deleted_below_its_manifest_comes_back_with_a_tag(
    proxy: Proxy, bench: Bench, team: str, tags: tuple[str, ...]
) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", b"a", b"b")
    bench.push(image)
    url = f"http://{proxy.host}/v2/{team}/api/blobs/{image.blobs[2].digest}"
    _run("/usr/bin/env", "python3", "-c", _DELETE, url)
    proxy.seen.clear()
    bench.push(replace(image, tags=tags))
    assert proxy.count("POST") == 1  # what was lost, and no more
    for tag in tags:
        source = f"docker://{proxy.host}/{team}/api:{tag}"
        _run("skopeo", "copy", "--src-tls-verify=false", source, f"dir:{bench.root}/{tag}")


def test_requests_go_side_by_side_and_no_more_than_allowed(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def count() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.03)
        with lock:
            now -= 1

    proxy.faults.append(Fault(lambda _: True, times=9999, act=count))
    images = [bench.image(f"{proxy.host}/{team}/s{n}", str(n).encode()) for n in range(4)]
    bench.push(*images, limits=replace(QUICK, workers=3))
    assert 1 < most <= 3
    assert now == 0


_DELETE = """
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="DELETE")).close()
"""


def _run(*argv: str) -> bytes:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, timeout=30).stdout
