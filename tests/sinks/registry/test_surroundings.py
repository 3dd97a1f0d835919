"""Proxies, plain HTTP that was asked for, pauses, and what the plan says."""

import subprocess
import sys
import time
from email.utils import formatdate
from typing import Any

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.registry.client import Registry
from scratchtasks.registry.patience import retry_after_of
from scratchtasks.registry.surroundings import proxy_of
from scratchtasks.sinks.registry.plan import make_plan
from scratchtasks.sinks.registry.push import push

from .bench import QUICK, Bench
from .proxy import Proxy
from .servers import digest_in


def test_plain_http_is_refused_unless_asked_for(host: str, bench: Bench, team: str) -> None:
    # This address reaches loopback and does not say so.
    elsewhere = host.replace("127.0.0.1", "0.0.0.0")
    image = bench.image(f"{elsewhere}/{team}/api", b"a")
    with pytest.raises(SinkError) as error:
        bench.push(image)
    assert str(error.value) == (
        f"HEAD {elsewhere}/v2/{team}/api/manifests/latest: does not speak TLS\n"
        f"    hint: allow plain HTTP for {elsewhere}, if you trust the network"
    )
    with Registry({}, insecure=[elsewhere], limits=QUICK) as registry:
        push(make_plan([image], registry, bench.store), registry, bench.store)
    assert digest_in(host, f"{team}/api", "latest") == image.top.digest


def test_through_a_proxy_with_a_password(proxy: Proxy, bench: Bench, team: str) -> None:
    name = "registry.example.com"
    env = {"http_proxy": f"http://user:proxy-secret@{proxy.host}", "NO_PROXY": "other.example"}
    image = bench.image(f"{name}/{team}/api", b"a")
    with Registry(env, insecure=[name], limits=QUICK) as registry:
        push(make_plan([image], registry, bench.store), registry, bench.store)
    assert all("proxy-authorization" in map(str.lower, seen.headers) for seen in proxy.seen)
    assert all(seen.headers["Host"] == name for seen in proxy.seen)
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


@pytest.mark.parametrize(
    ("host", "no_proxy", "used"),
    [
        ("registry.example.com", "", True),
        ("registry.example.com:5000", "example.com", False),
        ("registry.example.com", "a, .example.com", False),
        ("registry.example.com", "*.example.com", False),
        ("registry.example.com", "*", False),
        ("notexample.com", "example.com", True),
        ("127.0.0.1:5000", "", False),
    ],
)
def test_who_goes_through_the_proxy(host: str, no_proxy: str, used: bool) -> None:
    env = {"HTTPS_PROXY": "proxy.example:3128", "no_proxy": no_proxy}
    assert proxy_of("https", host, env) == ("http://proxy.example:3128" if used else "")
    assert proxy_of("http", host, env) == ""


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("120", 120), (" 7 ", 7), ("", None), ("soon", None), ("-1", None), ("1.5", None),
     ("9" * 50, 999_999_999), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)  # fmt: skip
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after_of(header) == seconds


def test_retry_after_a_date() -> None:
    told = retry_after_of(formatdate(time.time() + 100, usegmt=True))
    assert told is not None
    assert 90 < told <= 100


def test_a_certificate_file_that_is_none(bench: Bench, team: str) -> None:
    image = bench.image(f"registry.example.com/{team}/api", b"a")
    with pytest.raises(SinkError) as error:
        bench.push(image, env={"SSL_CERT_FILE": "/dev/null"})
    assert str(error.value).startswith("/dev/null: cannot be used as a certificate: ")


def test_what_a_plan_says(proxy: Proxy, bench: Bench, team: str) -> None:
    base = f"{proxy.host}/{team}"
    old = bench.image(f"{base}/a", b"old")
    bench.push(old)
    a = bench.image(f"{base}/a", b"s" * 5000, tags=("latest", "2"))
    b = bench.image(f"{base}/b", b"s" * 5000)
    with Registry({}, limits=QUICK) as registry:
        plan = make_plan([a, b], registry, bench.store)
        config, layer = a.blobs[1], a.blobs[2]
        size = config.size + layer.size
        assert str(plan) == (
            f"a: {base}/a@{a.top.digest}\n"
            f"    send 2 blobs, {size / 1024:.1f} KiB\n"
            "    put 1 manifest\n"
            f"    tag latest, now {old.top.digest}\n"
            "    tag 2, new\n"
            f"b: {base}/b@{b.top.digest}\n"
            "    mount 2 blobs\n"
            "    put 1 manifest\n"
            "    tag latest, new\n"
            f"{size / 1024:.1f} KiB to send"
        )
        told: Any = plan.to_json()
        first, second = told["images"]
        assert told["size"] == size
        assert first == {
            "name": "a",
            "label": "//services/a:image",
            "repository": f"{base}/a",
            "digest": a.top.digest,
            "blobs": [
                {"digest": blob.digest, "size": blob.size, "mount_from": None}
                for blob in (config, layer)
            ],
            "manifests": [a.top.digest],
            "tags": [{"tag": "latest", "was": old.top.digest}, {"tag": "2", "was": None}],
        }
        assert [blob["mount_from"] for blob in second["blobs"]] == [f"{base}/a"] * 2
        assert proxy.count("PUT") == 4  # those of the old image: a plan sends nothing
        push(plan, registry, bench.store)
        done = make_plan([a, b], registry, bench.store)
    assert done.is_current
    assert str(done) == (
        f"a: {base}/a@{a.top.digest}\n    is there\n"
        f"b: {base}/b@{b.top.digest}\n    is there\n"
        "nothing to do"
    )


def test_what_is_imported_without_a_request() -> None:
    code = (
        "import sys, scratchtasks.sinks.registry.push; "
        "print([m for m in ('urllib3', 'http.client', 'ssl', 'email') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"[]\n"
