"""Real registries on loopback: open, with passwords, with tokens, with TLS."""

import base64
import ipaddress
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

FAR = "registry.example.com"
"""A host that only a proxy leads to."""

USER, PASSWORD = "team", "hunter2-secret"
# bcrypt of PASSWORD, the only scheme that the registry takes.
_HTPASSWD = f"{USER}:$2y$04$abcdefghijklmnopqrstuuQE9nQDEff8ZFvCfmo0cwTs/ef1Ukbw.\n"
_PEM = serialization.Encoding.PEM


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def registry(folder: Path, *, auth: str = "", tls: str = "", deletes: bool = True) -> Iterator[str]:
    """Run docker-registry on its own storage in *folder*; gives its `host:port`.

    It *deletes* manifests by digest, and with them their tags; by tag it never does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: test{tls}}}\n{auth}"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdout=log,
            stderr=log,
            env={
                "OTEL_TRACES_EXPORTER": "none",
                "PATH": "/usr/bin:/bin",
                "REGISTRY_STORAGE_DELETE_ENABLED": str(deletes).lower(),
            },
        )
    try:
        _wait_for(port, process, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(log.read_text())


def password_auth(folder: Path) -> str:
    """The part of a registry's config that asks for USER and PASSWORD."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    return f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"


def config_json(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> str:
    """Write a docker `config.json` that knows *host*; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return str(folder)


@dataclass
class Authority:
    """A CA and a certificate for loopback, FAR and *names*, as files in *folder*."""

    folder: Path
    names: tuple[str, ...] = ()
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        ca = self._certificate("ca", self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = [*map(x509.DNSName, ("localhost", FAR, *self.names)), loopback]
        server = self._certificate("localhost", key).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        for name, builder in (("ca", ca), ("server", server)):
            signed = builder.sign(self.key, hashes.SHA256())
            (self.folder / f"{name}.crt").write_bytes(signed.public_bytes(_PEM))
        secret = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        (self.folder / "server.key").write_bytes(key.private_bytes(_PEM, form, secret))

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    @property
    def tls(self) -> str:
        """The part of a registry's config that makes it speak TLS."""
        return f", tls: {{certificate: {self.folder}/server.crt, key: {self.folder}/server.key}}"

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        return context


_FORGIVEN = 60
"""Seconds after its end for which the registry still takes a token."""


class TokenServer(ThreadingHTTPServer):
    """Sells tokens for USER and PASSWORD, or for the refresh token `identity-secret`.

    With a *realm*, an https URL that leads here, it speaks TLS, and lets nobody pull too.  The
    registry takes a token for `lifetime` seconds at most, the last one `until` then (of
    `time.time`); clients are told five minutes.
    """

    daemon_threads = True

    def __init__(self, authority: Authority, realm: str = "", service: str = "test") -> None:
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self.authority = authority
        self.realm = realm or f"http://127.0.0.1:{self.server_port}/token"
        self.service = service
        self.is_open = bool(realm)
        if realm:
            context = authority.server_context()
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.users: list[str] = []
        self.lifetime = 300
        self.until = 0
        self.grants_push = True
        self.grants_mounts = True

    @property
    def auth(self) -> str:
        """The part of a registry's config that sends its clients here."""
        return (
            f"auth: {{token: {{realm: '{self.realm}', service: {self.service}, "
            f"issuer: tests, rootcertbundle: {self.authority.folder}/ca.crt}}}}\n"
        )

    def outlive(self) -> None:
        """Return when the last token has expired."""
        while time.time() <= self.until:
            time.sleep(0.05)

    def token(self, scopes: list[str], user: str) -> str:
        now = int(time.time())
        certificate = (self.authority.folder / "ca.crt").read_bytes()
        der = x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            may_push = self.grants_push and bool(user)
            granted = [a for a in actions.split(",") if a == "pull" or may_push]
            access.append({"type": kind, "name": name, "actions": granted})
        self.until = now + self.lifetime
        claims = {
            "iss": "tests", "sub": user, "aud": self.service, "nbf": now - 10, "iat": now,
            "exp": self.until - _FORGIVEN, "jti": str(time.time_ns()), "access": access,
        }  # fmt: skip
        text = ".".join(_b64(json.dumps(part).encode()) for part in (head, claims))
        signature = self.authority.key.sign(
            sha256(text.encode()).digest(), ec.ECDSA(utils.Prehashed(hashes.SHA256()))
        )
        r, s = utils.decode_dss_signature(signature)
        return f"{text}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class _TokenHandler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        shown = self.headers["Authorization"]
        is_nobody = shown is None and self.server.is_open
        assert query.get("service") == [self.server.service]
        user = "" if is_nobody else USER
        self._answer("GET", query.get("scope", []), is_nobody or shown == wanted, user)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        scopes = form["scope"][0].split()
        self._answer("POST", scopes, form["refresh_token"] == ["identity-secret"])

    def _answer(self, method: str, scopes: list[str], is_known: bool, user: str = USER) -> None:
        self.server.asked.append((method, tuple(scopes)))
        self.server.users.append(user)
        if is_known and (len(scopes) < 2 or self.server.grants_mounts):
            token = self.server.token(scopes, user)
            body = json.dumps({"token": token, "expires_in": 300}).encode()
        else:
            body = json.dumps({"details": "incorrect username or password"}).encode()
        self.send_response(200 if b'"token"' in body else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read on a test's terminal."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve in a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def digest_in(host: str, path: str, reference: str) -> str:
    """What *reference* means in the open registry *host*, "" for nothing; asked by urllib."""
    url = f"http://{host}/v2/{path}/manifests/{reference}"
    types = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    asked = urllib.request.Request(url, method="HEAD", headers={"Accept": types})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 404:
            raise
        return ""


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
