"""What stands between this machine and a registry: private CAs and proxies.

Source: the folders are those of docker and of containers-certs.d(5); the variables are curl's.
"""

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scratchtasks.core.home import home_of

from .errors import RegistryError
from .reference import host_name, is_loopback

if TYPE_CHECKING:
    import ssl


def tls_of(host: str, env: Mapping[str, str]) -> "ssl.SSLContext":
    """A context that verifies *host* by the system's CAs, SSL_CERT_FILE and `certs.d/HOST`.

    Raises: RegistryError when one of those files is no certificate, or an encrypted key.
    """
    import ssl

    context = ssl.create_default_context()
    home = env.get("XDG_CONFIG_HOME") or f"{home_of(env)}/.config"
    roots = [f"{home}/{name}/certs.d" for name in ("docker", "containers")]
    path = env.get("SSL_CERT_FILE", "")
    try:
        if path:
            context.load_verify_locations(cafile=path)
        if env.get("SSL_CERT_DIR"):
            path = env["SSL_CERT_DIR"]
            context.load_verify_locations(capath=path)
        for root in (*roots, "/etc/containers/certs.d", "/etc/docker/certs.d"):
            folder = path = f"{root}/{host}"
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                path = f"{folder}/{name}"
                if name.endswith(".crt"):
                    context.load_verify_locations(cafile=path)
                elif name.endswith(".cert"):
                    key = path.removesuffix(".cert") + ".key"
                    # OpenSSL would ask the terminal for it, in the middle of a run.
                    context.load_cert_chain(path, key, password=partial(_refuse_password, key))
    except OSError as error:  # ssl.SSLError is one
        raise RegistryError(
            path, f"cannot be used as a certificate: {error.strerror or error}"
        ) from None
    return context


def _refuse_password(key: str) -> str:
    """Raises: RegistryError, as docker takes no such key either."""
    what = "is encrypted (wanted a private key without a password)"
    raise RegistryError(key, what, f"openssl pkey -in {key} prints it without")


def proxy_of(scheme: str, host: str, env: Mapping[str, str]) -> str:
    """The URL of the HTTP proxy that *env* asks for, "" for none or for this very machine.

    Raises: RegistryError when it is no such URL; its text, which may hold a password, is not told.
    """
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    name = next((name for name in names if env.get(name)), "")
    excluded = env.get("no_proxy") or env.get("NO_PROXY") or ""
    if not name or is_loopback(host) or _is_excluded(host.lower(), excluded.lower()):
        return ""
    proxy = env[name] if "://" in env[name] else f"http://{env[name]}"
    try:
        parts = urlsplit(proxy)
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise RegistryError(name, "wanted the http:// or https:// URL of a proxy")
    return proxy


def _is_excluded(host: str, excluded: str) -> bool:
    """Whether `no_proxy` names *host*: by name, by a domain it is in, or by a network (CIDR)."""
    names = {host, host_name(host)}
    entries = [part.strip() for part in excluded.split(",")]
    for entry in (part.removeprefix("*").lstrip(".") for part in entries):
        if any(name == entry or name.endswith(f".{entry}") for name in names if entry):
            return True
    return "*" in entries or any(_is_in_network(host_name(host), e) for e in entries if "/" in e)


def _is_in_network(name: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
