"""What a plan tells before anything is sent."""

import subprocess
import sys
from typing import Any

from scratchtasks.registry.client import Registry
from scratchtasks.sinks.registry.plan import make_plan
from scratchtasks.sinks.registry.push import push
from tests.registry.proxy import Proxy

from .bench import QUICK, Bench


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
