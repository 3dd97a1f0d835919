"""The small texts of /etc: hosts, nsswitch.conf, services and os-release; and /tmp."""

import re
from collections.abc import Mapping

from scratchtasks.core.errors import StageError
from scratchtasks.core.hosts import FIXED, FIXED_NAMES, plain_address

from .made import Made, folder_of, text_of

_PART = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"(?=.{{1,253}}\Z){_PART}(?:\.{_PART})*"

_NSSWITCH = ["passwd: files", "group: files", "hosts: files dns"]

_OS_RELEASE = ['NAME="scratch"', "ID=scratch", 'PRETTY_NAME="FROM scratch, by scratchtasks"']
"""No VERSION_ID: there is no release whose advisories a scanner could look up."""

_SERVICES = """
    ftp 21/tcp, ssh 22/tcp, telnet 23/tcp, smtp 25/tcp, domain 53/tcp 53/udp, tftp 69/udp,
    http 80/tcp, kerberos 88/tcp 88/udp, pop3 110/tcp, sunrpc 111/tcp 111/udp, ntp 123/udp,
    imap 143/tcp, snmp 161/udp, snmptrap 162/udp, bgp 179/tcp, ldap 389/tcp 389/udp,
    https 443/tcp 443/udp, kpasswd 464/tcp 464/udp, submissions 465/tcp, syslog 514/udp,
    submission 587/tcp, ldaps 636/tcp, domain-s 853/tcp 853/udp, rsync 873/tcp, imaps 993/tcp,
    pop3s 995/tcp, socks 1080/tcp, ms-sql-s 1433/tcp, radius 1812/udp, mqtt 1883/tcp,
    nfs 2049/tcp 2049/udp, etcd-client 2379/tcp, etcd-server 2380/tcp, mysql 3306/tcp,
    stun 3478/tcp 3478/udp, sip 5060/tcp 5060/udp, sips 5061/tcp, xmpp-client 5222/tcp,
    xmpp-server 5269/tcp, postgresql 5432/tcp, amqps 5671/tcp, amqp 5672/tcp, redis 6379/tcp,
    syslog-tls 6514/tcp, http-alt 8080/tcp, secure-mqtt 8883/tcp, memcache 11211/tcp,
    mongodb 27017/tcp
"""
"""Registered names and ports (IANA, Service Name and Transport Protocol Port Number Registry)."""


def hosts_file(entries: Mapping[str, str]) -> Made:
    """`/etc/hosts`: loopback for both address families, then *entries* (name → address), sorted.

    Raises: StageError for what is no host name or address, and for names taken by loopback.
    """
    lines = [f"{address}\t{names}" for address, names in FIXED]
    seen: dict[str, str] = {}
    for name in sorted(entries):
        where = f"hosts: {name!a}"
        plain = name.lower()
        if not re.fullmatch(_HOST, plain):
            raise StageError(where, "wanted a host name such as db.internal")
        if plain in FIXED_NAMES:
            raise StageError(where, f"is {FIXED_NAMES[plain]} in every image and cannot be moved")
        if seen.setdefault(plain, name) != name:
            raise StageError(where, f"is the same name as {seen[plain]!a}")
        try:
            address = plain_address(entries[name])
        except ValueError:
            raise StageError(where, f"wanted an IP address, got {entries[name]!a}") from None
        if "%" in address:
            raise StageError(where, f"wanted an address without a zone, got {entries[name]!a}")
        lines.append(f"{address}\t{plain}")
    return text_of("etc/hosts", lines, "hosts")


def nsswitch_file() -> Made:
    """`/etc/nsswitch.conf`: users from files, hosts from /etc/hosts and then DNS.

    Without it C libraries fall back on built-in orders, and those differ.
    """
    return text_of("etc/nsswitch.conf", _NSSWITCH, "nsswitch")


def services_file() -> Made:
    """`/etc/services`: the well-known names that programs look up, by port."""
    rows: list[tuple[int, str, str]] = []
    for item in _SERVICES.replace("\n", " ").split(","):
        name, *ports = item.split()
        for port in ports:
            number, _, protocol = port.partition("/")
            rows.append((int(number), protocol, name))
    lines = [f"{name}\t{number}/{protocol}" for number, protocol, name in sorted(rows)]
    return text_of("etc/services", lines, "services")


def os_release_file() -> Made:
    """`/etc/os-release`: scanners skip images without one.  Source: os-release(5)."""
    return text_of("etc/os-release", _OS_RELEASE, "os-release")


def tmp_folders() -> list[Made]:
    """`/tmp` and `/var/tmp`, writable by everybody, mode 1777."""
    return [folder_of(path, 0o1777, "tmp") for path in ("tmp", "var/tmp")]
