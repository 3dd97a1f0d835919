"""systemd: a service and its timer."""

from .place import Place

_TEXT = """\
# /etc/systemd/system/{slug}.service
[Unit]
Description=Refresh CA roots and time zones of {name}
Documentation=https://pypi.org/project/scratchtasks/
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
# A user of its own (`useradd --system scratch`) who owns the workspace; credentials for the
# registry lie in its ~/.docker/config.json.
User=scratch
WorkingDirectory={folder}
ExecStart={doit} refresh --build --push
# 10: refreshed, rebuilt and pushed.  20 (something would disappear) and errors stay failures, which
# `systemctl --failed` shows and OnFailure= can tell of.
SuccessExitStatus=10
TimeoutStartSec=2h

# Everything is read-only but the workspace and the caches of compilers and pip, and there are no
# rights to gain.
ProtectSystem=strict
ReadWritePaths={root}
Environment=PATH={path}
CacheDirectory={slug}
Environment=XDG_CACHE_HOME=/var/cache/{slug}
Environment=GOMODCACHE=/var/cache/{slug}/go-mod
Environment=CARGO_HOME=/var/cache/{slug}/cargo
# `tmpfs` would hide a workspace or credentials below /home.
ProtectHome=no
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0022
# Not RestrictNamespaces: smoke tests without Docker start images in namespaces of their own.

# /etc/systemd/system/{slug}.timer
[Unit]
Description=Every night: refresh CA roots and time zones of {name}

[Timer]
OnCalendar=*-*-* 03:{minute:02}:00
RandomizedDelaySec=15min
# A night that was slept through is made up for.
Persistent=yes

[Install]
WantedBy=timers.target

# Then: systemctl daemon-reload && systemctl enable --now {slug}.timer
"""


def systemd(place: Place) -> str:
    """Both units for *place*, each below a comment with its path."""
    return _TEXT.format(
        slug=f"{place.slug}-refresh",
        name=place.name.replace("%", "%%"),
        folder=place.root.replace("%", "%%"),
        root=_word(place.root),
        doit=_program(place.doit),
        path=_word(place.path),
        minute=place.minute,
    )


def _program(path: str) -> str:
    """*path* as systemd runs it; a program's own name may hold no quotes, an argument may."""
    word = _word(path).replace("$", "$$")
    return f"/usr/bin/env {word}" if set("'\"\\") & set(path) else word


def _word(text: str) -> str:
    """*text* as one word: `%` begins a specifier, white space ends a word.

    Source: systemd.unit(5), systemd.syntax(7).
    """
    escaped = text.replace("\\", "\\\\").replace("%", "%%")
    return escaped.replace(" ", "\\x20").replace('"', "\\x22").replace("'", "\\x27")
