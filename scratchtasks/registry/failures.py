"""Why there was no answer, in plain words.

Source: urllib3's exceptions, and what they wrap.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import RegistryError
from .reference import host_name

if TYPE_CHECKING:
    from .transport import Limits


def too_slow(where: str, limits: "Limits") -> RegistryError:
    """An answer that had not come to its end in time."""
    what = f"no whole answer within {limits.answer:g} s"
    return RegistryError(where, what, is_transient=True, is_timeout=True)


def failure_of(where: str, url: str, error: Exception, limits: "Limits") -> RegistryError:
    """What *error* of urllib3 means for the request *where* to *url*."""
    import ssl

    from urllib3 import exceptions

    from .connection import TooSlow

    host = urlsplit(url).netloc
    if isinstance(error, exceptions.ProxyError):
        return RegistryError(
            where, "the proxy gave no connection", "see HTTPS_PROXY, NO_PROXY", is_transient=True
        )
    if isinstance(error, exceptions.SSLError):
        return _tls_failure(where, host, next(iter(error.args), None))
    if isinstance(error, exceptions.NameResolutionError):
        what = f"there is no host {host_name(host)}"
    elif isinstance(error, exceptions.NewConnectionError):
        cause = error.__cause__ or error.__context__
        what = f"no connection: {getattr(cause, 'strerror', '') or 'refused'}"
    elif isinstance(error, exceptions.ConnectTimeoutError):
        what = f"no connection within {limits.connect:g} s"
        return RegistryError(where, what, is_transient=True, is_timeout=True)
    elif isinstance(error, exceptions.ReadTimeoutError):
        if isinstance(error.__cause__, TooSlow):
            return too_slow(where, limits)
        return RegistryError(
            where, f"no answer within {limits.idle:g} s", is_transient=True, is_timeout=True
        )
    elif isinstance(error, exceptions.DecodeError):
        return RegistryError(where, "its answer is not compressed as it says")
    elif isinstance(error, exceptions.LocationValueError):
        return RegistryError(where, "is not a URL that can be asked")
    else:
        cause = next((a for a in error.args if isinstance(a, ssl.SSLError)), None)
        if cause is not None and "CERTIFICATE" in str(cause.reason):
            return _tls_failure(where, host, cause)
        if any(isinstance(each, TimeoutError) for each in error.args):
            what = f"takes nothing of what is sent for {limits.idle:g} s"
            return RegistryError(where, what, is_transient=True, is_timeout=True)
        what = "the connection was dropped"
    return RegistryError(where, what, is_transient=True)


def _tls_failure(where: str, host: str, cause: object) -> RegistryError:
    import ssl

    if isinstance(cause, ssl.SSLCertVerificationError):
        return RegistryError(
            where,
            f"its certificate is not trusted: {cause.verify_message}",
            f"put the CA's certificate into /etc/docker/certs.d/{host}/ca.crt, "
            "or name it by SSL_CERT_FILE",
        )
    reason = str(getattr(cause, "reason", "") or "")
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return RegistryError(
            where,
            "does not speak TLS",
            f"allow plain HTTP for {host} (push.plain_http), if you trust the network",
        )
    is_dropped = "EOF" in reason or not reason
    what = "the connection was dropped" if is_dropped else f"TLS failed: {reason}"
    return RegistryError(where, what, is_transient=is_dropped)
