"""Choosing zones, and the TZ that would silently mean UTC."""

import pytest

from scratchtasks.core.errors import StageError
from scratchtasks.execute.essentials.zoneinfo import check_tz, zoneinfo_tree

FILES = {
    "UTC": b"TZif-utc", "Etc/UTC": b"TZif-utc", "Europe/Paris": b"TZif-paris",
    "Europe/Monaco": b"TZif-paris", "Europe/Berlin": b"TZif-berlin",
    "America/Argentina/Ushuaia": b"TZif-ushuaia", "America/Lima": b"TZif-lima",
    "posix/UTC": b"TZif-utc", "right/Europe/Paris": b"TZif-leap", "__init__.py": b"",
    "zone.tab": b"# zones", "tzdata.zi": b"# version 1", "README": b"no zone",
}  # fmt: skip


def paths(*patterns: str) -> dict[str, str]:
    """Paths below usr/share/zoneinfo and what they link to."""
    made, ids = zoneinfo_tree(FILES, patterns, "tzdata 1")
    start = "usr/share/zoneinfo/"
    for entry, data in made:
        assert data == (FILES[entry.path.removeprefix(start)] if entry.kind == "file" else b"")
        assert not entry.link or entry.link < entry.path
    found = {e.path.removeprefix(start): e.link.removeprefix(start) for e, _ in made}
    assert ids == sorted(path for path in found if FILES[path].startswith(b"TZif"))
    return found


def test_all_zones_come_with_their_tables_and_aliases_as_links() -> None:
    assert paths("*") == {
        "America/Argentina/Ushuaia": "", "America/Lima": "", "Etc/UTC": "",
        "Europe/Berlin": "", "Europe/Monaco": "", "Europe/Paris": "Europe/Monaco",
        "UTC": "Etc/UTC", "tzdata.zi": "", "zone.tab": "",
    }  # fmt: skip


def test_chosen_zones_come_alone_but_for_utc() -> None:
    assert paths("Europe/Paris") == {"Europe/Paris": "", "UTC": ""}
    assert paths("America/*") == {"America/Argentina/Ushuaia": "", "America/Lima": "", "UTC": ""}
    assert paths("Europe/[BM]*", "UTC") == {"Europe/Berlin": "", "Europe/Monaco": "", "UTC": ""}
    assert paths() == {"UTC": ""}


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("Europe/Pariss", "did you mean 'Europe/Paris'?"),
        ("europe/*", "did you mean 'Europe/Paris'?"),
        ("Mars/*", "zones are named as in Europe/Paris or Etc/GMT+1"),
        ("zone.tab", "zones are named as in Europe/Paris or Etc/GMT+1"),
        ("right/*", "zones are named as in Europe/Paris or Etc/GMT+1"),
    ],
)
def test_a_pattern_that_chooses_nothing_is_an_error(pattern: str, hint: str) -> None:
    with pytest.raises(StageError) as caught:
        zoneinfo_tree(FILES, ["UTC", pattern], "tzdata 1")
    assert str(caught.value) == (
        f"zoneinfo.zones: no zone matches '{pattern}' in tzdata 1\n    hint: {hint}"
    )


def test_paths_that_leave_the_folder_are_refused() -> None:
    with pytest.raises(StageError, match="wanted a path without"):
        zoneinfo_tree({"UTC": b"TZif", "../../etc/x": b"TZif2"}, ["*"], "tzdata 1")


@pytest.mark.parametrize(
    "value",
    ["", ":", "UTC", ":UTC", "Europe/Paris", ":Europe/Paris", "/usr/share/zoneinfo/Europe/Paris",
     ":/usr/share/zoneinfo/Europe/Paris", "/srv/own-zone", "CET-1CEST", "UTC0", "<+0530>-5:30",
     "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT4,J60/2:30,J300", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
     "XYZ-167:59:59"],
)  # fmt: skip
def test_a_tz_that_works_is_accepted(value: str) -> None:
    check_tz({"TZ": value, "LANG": "C"}, ["Europe/Paris", "UTC"], "image.env")


def test_no_tz_needs_no_zones() -> None:
    check_tz({}, None, "image.env")
    check_tz({"TZ": "UTC"}, None, "image.env")
    check_tz({"TZ": "CET-1CEST"}, None, "image.env")


@pytest.mark.parametrize(
    ("value", "zones", "message"),
    [
        ("Europe/Berlin", None, "TZ='Europe/Berlin' is not in the image\n"
         '    hint: add "zoneinfo" to image.essentials'),
        ("Europe/Berlin", ["America/Lima", "UTC"], "TZ='Europe/Berlin' is not in the image\n"
         "    hint: add 'Europe/Berlin' to zoneinfo.zones"),
        (":Europe/Pari", ["Europe/Paris", "UTC"], "TZ=':Europe/Pari' is not in the image\n"
         "    hint: did you mean 'Europe/Paris'? else add 'Europe/Pari' to zoneinfo.zones"),
        ("/usr/share/zoneinfo/Asia/Tokyo", ["UTC"],
         "TZ='/usr/share/zoneinfo/Asia/Tokyo' is not in the image\n"
         "    hint: add 'Asia/Tokyo' to zoneinfo.zones"),
        ("europe/paris", ["Europe/Paris", "UTC"], "TZ='europe/paris' is not in the image\n"
         "    hint: did you mean 'Europe/Paris'? else add 'europe/paris' to zoneinfo.zones"),
        ("/usr/share/zoneinfo/CET-1CEST", ["UTC"],
         "TZ='/usr/share/zoneinfo/CET-1CEST' is not in the image\n"
         "    hint: add 'CET-1CEST' to zoneinfo.zones"),
        ("CET", ["UTC"], "TZ='CET' is not in the image\n    hint: add 'CET' to zoneinfo.zones"),
        ("UTC+2 ", ["UTC"], "TZ='UTC+2 ' is not in the image\n"
         "    hint: did you mean 'UTC'? else add 'UTC+2 ' to zoneinfo.zones"),
    ],
)  # fmt: skip
def test_a_tz_that_would_silently_be_utc_is_refused(
    value: str, zones: list[str] | None, message: str
) -> None:
    with pytest.raises(StageError) as caught:
        check_tz({"TZ": value}, zones, "image.env")
    assert str(caught.value) == f"image.env: {message}"
