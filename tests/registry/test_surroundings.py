"""Plain HTTP that was asked for, proxies, private CAs, and pauses."""

import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import digest_at
from scratchtasks.registry.patience import retry_after_of
from scratchtasks.registry.reference import parse_repository
from scratchtasks.registry.surroundings import proxy_of, tls_of
from scratchtasks.registry.transport import Limits

from .proxy import Proxy

QUICK = Limits(backoff=0.01, wait=2, idle=5, answer=5, connect=5)


def test_plain_http_is_refused_unless_asked_for(registry_host: str) -> None:
    # This address reaches loopback and does not say so.
    elsewhere = registry_host.replace("127.0.0.1", "0.0.0.0")
    api = parse_repository(f"{elsewhere}/team/api")
    with Registry({}, limits=QUICK) as registry, pytest.raises(SinkError) as error:
        digest_at(registry, api, "latest")
    assert str(error.value) == (
        f"HEAD {elsewhere}/v2/team/api/manifests/latest: does not speak TLS\n"
        f"    hint: allow plain HTTP for {elsewhere}, if you trust the network"
    )
    with Registry({}, insecure=[elsewhere], limits=QUICK) as registry:
        assert digest_at(registry, api, "latest") is None


def test_through_a_proxy_with_a_password(proxy: Proxy) -> None:
    name = "registry.example.com"
    env = {"http_proxy": f"http://us%40er:pa%3Ass@{proxy.host}", "NO_PROXY": "other.example"}
    with Registry(env, insecure=[name], limits=QUICK) as registry:
        assert digest_at(registry, parse_repository(f"{name}/team/api"), "latest") is None
    (seen,) = proxy.seen
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert headers["proxy-authorization"] == "Basic dXNAZXI6cGE6c3M="  # us@er:pa:ss
    assert headers["host"] == name


@pytest.mark.parametrize("url", ["http://[", "socks5://proxy:1", "http://proxy:port", "http://:1"])
def test_a_proxy_that_is_no_url_is_named_and_not_shown(url: str) -> None:
    env = {"HTTPS_PROXY": url}
    api = parse_repository("registry.example.com/team/api")
    with Registry(env, limits=QUICK) as registry, pytest.raises(SinkError) as error:
        digest_at(registry, api, "latest")
    assert str(error.value) == "HTTPS_PROXY: wanted the http:// or https:// URL of a proxy"


def test_a_proxy_that_is_not_there(proxy: Proxy) -> None:
    env = {"HTTPS_PROXY": "http://user:proxy-secret@127.0.0.1:1"}
    api = parse_repository("registry.example.com/team/api")
    limits = replace(QUICK, attempts=2)
    with Registry(env, limits=limits) as registry, pytest.raises(SinkError) as error:
        digest_at(registry, api, "latest")
    assert str(error.value) == (
        "HEAD registry.example.com/v2/team/api/manifests/latest: the proxy gave no connection\n"
        "    hint: see HTTPS_PROXY, NO_PROXY"
    )


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
        ("10.1.2.3:5000", "a,10.0.0.0/8", False),
        ("10.1.2.3:5000", "11.0.0.0/8,10.0.0.0/x", True),
        ("[fd00::1]:5000", "fd00::/8", False),
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


def test_a_certificate_file_that_is_none() -> None:
    api = parse_repository("registry.example.com/team/api")
    env = {"SSL_CERT_FILE": "/dev/null"}
    with Registry(env, limits=QUICK) as registry, pytest.raises(SinkError) as error:
        digest_at(registry, api, "latest")
    assert str(error.value).startswith("/dev/null: cannot be used as a certificate: ")


def test_a_client_certificate_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "docker" / "certs.d" / "registry.example.com"
    folder.mkdir(parents=True)
    (folder / "client.cert").write_text("no certificate")
    with pytest.raises(SinkError) as error:
        tls_of("registry.example.com", {"XDG_CONFIG_HOME": str(tmp_path)})
    assert str(error.value).startswith(f"{folder}/client.cert: cannot be used as a certificate: ")
