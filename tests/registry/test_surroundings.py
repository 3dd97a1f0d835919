"""Plain HTTP that was asked for, proxies, private CAs, and pauses."""

import select
import socket
import subprocess
import time
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.oci import media
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import Manifest, digest_at, put_manifest
from scratchtasks.registry.patience import retry_after_of
from scratchtasks.registry.reference import parse_repository
from scratchtasks.registry.surroundings import proxy_of, tls_of
from scratchtasks.registry.transport import Limits

from .proxy import Fault, Proxy
from .servers import FAR, Authority, config_json, serving

QUICK = Limits(backoff=0.01, wait=2, idle=5, answer=5, connect=5)


def test_plain_http_is_refused_unless_asked_for(registry_host: str) -> None:
    # This address reaches loopback and does not say so.
    elsewhere = registry_host.replace("127.0.0.1", "0.0.0.0")
    api = parse_repository(f"{elsewhere}/team/api")
    with Registry({}, limits=QUICK) as registry, pytest.raises(SinkError) as error:
        digest_at(registry, api, "latest")
    assert str(error.value) == (
        f"HEAD {elsewhere}/v2/team/api/manifests/latest: does not speak TLS\n"
        f"    hint: allow plain HTTP for {elsewhere} (push.plain_http), if you trust the network"
    )
    with Registry({}, insecure=[elsewhere], limits=QUICK) as registry:
        assert digest_at(registry, api, "latest") is None


@pytest.mark.parametrize(
    ("password", "shown"),
    [
        ("pa%3Ass", "Basic dXNAZXI6cGE6c3M="),  # us@er:pa:ss
        ("%E2%82%AC", "Basic dXNAZXI64oKs"),  # us@er:€
    ],
)
def test_through_a_proxy_with_a_password(proxy: Proxy, password: str, shown: str) -> None:
    name = "registry.example.com"
    env = {"http_proxy": f"http://us%40er:{password}@{proxy.host}", "NO_PROXY": "other.example"}
    with Registry(env, insecure=[name], limits=QUICK) as registry:
        assert digest_at(registry, parse_repository(f"{name}/team/api"), "latest") is None
    (seen,) = proxy.seen
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert headers["proxy-authorization"] == shown
    assert headers["host"] == name


class Tunnel(ThreadingHTTPServer):
    """A proxy that connects whoever asks to *target*, whatever was asked for."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _TunnelHandler)
        self.target = target
        self.asked: list[tuple[str, str]] = []


class _TunnelHandler(BaseHTTPRequestHandler):
    server: Tunnel

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, self.headers["Proxy-Authorization"]))
        host, _, port = self.server.target.partition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response_only(200)
            self.end_headers()
            ends = [self.connection, other]
            while True:
                for end in select.select(ends, [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end is self.connection].sendall(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read on a test's terminal."""


def test_tls_through_a_proxy_keeps_secrets_from_it(registry_host: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    front = Proxy(registry_host, authority.server_context())
    tunnel = Tunnel(front.host)
    challenge = {"Www-Authenticate": 'Basic realm="x"'}
    front.faults.append(Fault(lambda s: "Authorization" not in s.headers, 99, 401, challenge))
    env = {
        "HTTPS_PROXY": f"user:proxy-secret@127.0.0.1:{tunnel.server_port}",
        "SSL_CERT_FILE": str(tmp_path / "ca" / "ca.crt"),
        "DOCKER_CONFIG": config_json(tmp_path / "docker", FAR),
    }
    api = parse_repository(f"{FAR}/team/tunnel")
    manifest = Manifest(media.INDEX, b'{"schemaVersion": 2, "manifests": []}')
    with serving(front), serving(tunnel), Registry(env, limits=QUICK) as registry:
        put_manifest(registry, api, manifest, "latest")
        assert digest_at(registry, api, "latest") == digest_of(manifest.data)
    # One connection for all, and the proxy's password is the proxy's alone.
    assert tunnel.asked == [(f"{FAR}:443", "Basic dXNlcjpwcm94eS1zZWNyZXQ=")]
    assert [seen.method for seen in front.seen] == ["PUT", "PUT", "HEAD"]
    assert not [s for s in front.seen if "proxy-authorization" in map(str.lower, s.headers)]
    assert {s.headers["Host"] for s in front.seen} == {FAR}


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


def test_a_client_key_with_a_password_is_refused_and_asks_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "docker" / "certs.d" / "registry.example.com"
    folder.mkdir(parents=True)
    cert, key = folder / "client.cert", folder / "client.key"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=us"]
    made = [*new, "-passout", "pass:secret", "-out", str(cert), "-keyout", str(key)]
    subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
    with pytest.raises(SinkError) as error:
        tls_of("registry.example.com", {"XDG_CONFIG_HOME": str(tmp_path)})
    assert str(error.value) == (
        f"{key}: is encrypted (wanted a private key without a password)\n"
        f"    hint: openssl pkey -in {key} prints it without"
    )
