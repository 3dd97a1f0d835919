"""The three reports say the same, each to its reader."""

import json

import pytest

from scratchtasks.core.target import Pin
from scratchtasks.refresh.proposal import Alarm, Fate, Move, Proposal, pins_after
from scratchtasks.refresh.report_json import json_report
from scratchtasks.refresh.report_markdown import markdown_report
from scratchtasks.refresh.report_text import table, text_report
from scratchtasks.refresh.roots import Expiring, Root, RootsDiff
from scratchtasks.refresh.zones import Difference, ZoneChange, ZonesDiff

OLD = Pin(name="certifi", version="1.0", sha256="a" * 64, size=1, date="2024-01-01")
NEW = Pin(name="certifi", version="2.0", sha256="b" * 64, size=2, date="2026-01-01")
ROOT = Root("c" * 64, "CN=A|B <x>,O=*C*", 0, 1_900_000_000)
PRIVATE = Root("d" * 64, "CN=corp", 0, 1_800_000_000)

UNBUILT = "//services/api:binary is not built yet"

PROPOSAL = Proposal(
    moves=(Move(OLD, NEW, "the newest release"),),
    roots={"certifi": RootsDiff(added=(ROOT,), removed=(ROOT,), expiring=(ROOT,))},
    zones={
        "tzdata": ZonesDiff(
            added=("America/New",),
            removed={"US/Gone": "", "US/Old": "America/Old"},
            renamed={"Europe/Kiev": "Europe/Kyiv"},
            changed=(
                ZoneChange("Asia/Past", Difference(0, 0, 3600)),
                ZoneChange("Asia/Soon", Difference(9, 0, 3600), Difference(9, 0, 3600)),
            ),
            rewritten=("UTC",),
        )
    },
    alarms=(Alarm("services/api/service.toml: zoneinfo.zones[0]", "zone US/Gone is gone"),),
    images=(
        Fate(
            name="api",
            reasons=("certs: certifi 1.0 → certifi 2.0",),
            old="sha256:" + "1" * 64,
            unknown=UNBUILT,
        ),
        Fate(name="web", old="sha256:" + "2" * 64, new="sha256:" + "2" * 64),
    ),
    expiring=(Expiring("certs/corp.pem", PRIVATE, ("api", "web")),),
    notes=("3.0 is 1 day old and waits until day 3",),
)

TEXT = f"""\
1 pin to move
  ~ certifi  1.0 → 2.0  2026-01-01  the newest release
  = 3.0 is 1 day old and waits until day 3
CA roots of certifi: 1 added, 1 removed, 1 about to expire
  + CN=A|B <x>,O=*C*
      1970-01-01 to 2030-03-17  sha256 {"c" * 64}
  - CN=A|B <x>,O=*C*
      1970-01-01 to 2030-03-17  sha256 {"c" * 64}
  ! CN=A|B <x>,O=*C*
      1970-01-01 to 2030-03-17  sha256 {"c" * 64}
zones of tzdata: 1 added, 2 removed, 1 renamed, 1 with other local time, 1 corrected in the past, \
1 with other bytes and the same local time
  + America/New
  - US/Gone
  - US/Old (the same time: America/Old)
  ~ Europe/Kiev is now called Europe/Kyiv
  ~ Asia/Soon  from 1970-01-01 00:00 UTC: +00:00 → +01:00 (1 h later)
  ~ Asia/Past  from 1970-01-01 00:00 UTC: +00:00 → +01:00 (1 h later), in the past only
images: 1 of 2 get a new digest
  ~ api  111111111111  ?  certs: certifi 1.0 → certifi 2.0; digest not known: {UNBUILT}
  = byte-identical: web
private CAs that expire:
  ! 2027-01-15  certs/corp.pem  CN=corp  (api, web)
would disappear (nothing is changed without --accept):
  ✗ services/api/service.toml: zoneinfo.zones[0]: zone US/Gone is gone
"""


def test_text() -> None:
    assert text_report(PROPOSAL, "refused", is_colored=False) == TEXT


@pytest.mark.parametrize(
    ("outcome", "heading"),
    [
        ("refused", "would disappear (nothing is changed without --accept)"),
        ("proposed", "would disappear (accepted)"),
        ("refreshed", "disappears (accepted)"),
    ],
)
def test_what_disappears_is_not_said_to_stay_where_it_was_accepted(
    outcome: str, heading: str
) -> None:
    assert f"\n{heading}:\n  ✗ serv" in text_report(PROPOSAL, outcome, is_colored=False)
    assert f"\n### {heading.capitalize()}\n\n- **serv" in markdown_report(PROPOSAL, outcome)


def test_colours_are_all_that_a_terminal_adds() -> None:
    import re

    colored = text_report(PROPOSAL, "refused", is_colored=True)
    assert "\033[31m  ✗ services" in colored
    assert re.sub(r"\033\[\d*m", "", colored) == TEXT


def test_json_tells_everything() -> None:
    report = json.loads(json.dumps(json_report(PROPOSAL, "refused")))
    assert report["outcome"] == "refused"
    assert report["moves"][0]["old"]["version"] == "1.0"
    assert report["moves"][0]["new"]["sha256"] == "b" * 64
    assert report["roots"][0]["added"] == [
        {
            "subject": ROOT.subject,
            "sha256": ROOT.sha256,
            "not_before": 0,
            "not_after": 1_900_000_000,
        }
    ]
    assert report["zones"][0]["removed"] == {"US/Gone": "", "US/Old": "America/Old"}
    assert report["zones"][0]["changed"][1]["coming"] == {"moment": 9, "old": 0, "new": 3600}
    assert report["images"] == [
        {
            "name": "api", "is_affected": True, "is_sure": True, "new": None,
            "old": "sha256:" + "1" * 64, "unknown": UNBUILT,
            "reasons": ["certs: certifi 1.0 → certifi 2.0"],
        },
        {
            "name": "web", "is_affected": False, "is_sure": True, "new": "sha256:" + "2" * 64,
            "old": "sha256:" + "2" * 64, "unknown": "", "reasons": [],
        },
    ]  # fmt: skip
    assert report["expiring"][0]["path"] == "certs/corp.pem"
    assert report["alarms"] == [
        {"where": "services/api/service.toml: zoneinfo.zones[0]", "what": "zone US/Gone is gone"}
    ]
    assert report["notes"] == list(PROPOSAL.notes)


def test_markdown_tells_everything_and_no_name_has_a_meaning() -> None:
    text = markdown_report(PROPOSAL, "refused")
    for words in (
        "## Nightly refresh: 1 pin to move",
        "- **services/api/service.toml: zoneinfo.zones\\[0\\]**: zone US/Gone is gone",
        "| certifi | 1.0 → 2.0 | 2026-01-01 | the newest release |",
        "| CN=A\\|B \\<x\\>,O=\\*C\\* | 1970-01-01 | 2030-03-17 | " + "c" * 64 + " |",
        "- renamed: Europe/Kiev → Europe/Kyiv",
        "| Asia/Soon | from 1970-01-01 00:00 UTC: +00:00 → +01:00 (1 h later) |",
        "| api | 111111111111 | ? | certs: certifi 1.0 → certifi 2.0; "
        f"digest not known: {UNBUILT} |",
        "| web | 222222222222 | 222222222222 | byte-identical |",
        "| 2027-01-15 | certs/corp.pem | CN=corp | api, web |",
    ):
        assert words in text
    assert "<details>" not in text


def test_long_tables_are_folded() -> None:
    many = RootsDiff(added=(ROOT,) * 11)
    text = markdown_report(Proposal(moves=PROPOSAL.moves, roots={"certifi": many}), "refused")
    assert "<details><summary>11 added</summary>\n\n| subject |" in text
    assert text.count("<details>") == text.count("</details>") == 1


@pytest.mark.parametrize(
    ("proposal", "line"),
    [
        (Proposal(), "nothing new: every pin is where its policy wants it"),
        (Proposal(is_new_lock=True), "scratch.lock is new"),
        (Proposal(moves=(Move(None, NEW),)), "scratch.lock is completed"),
        (Proposal(moves=(Move(OLD, NEW), Move(NEW, OLD))), "2 pins to move"),
        (Proposal(moves=(Move(None, NEW), Move(OLD, NEW))), "1 pin to move"),
    ],
)
def test_headlines(proposal: Proposal, line: str) -> None:
    assert text_report(proposal, "refused", is_colored=False).splitlines()[0] == line
    assert markdown_report(proposal, "refused").splitlines()[0] == f"## Nightly refresh: {line}"


@pytest.mark.parametrize(("outcome", "line"), [("proposed", "to move"), ("refreshed", "moved")])
def test_the_headline_says_whether_pins_move(outcome: str, line: str) -> None:
    proposal = Proposal(moves=(Move(OLD, NEW), Move(NEW, OLD)))
    assert text_report(proposal, outcome, is_colored=False).splitlines()[0] == f"2 pins {line}"
    heading = markdown_report(proposal, outcome).splitlines()[0]
    assert heading == f"## Nightly refresh: 2 pins {line}"


def test_pins_after_moves() -> None:
    other = Pin(name="tzdata", version="1", sha256="e" * 64, size=1)
    assert pins_after({"certifi": OLD, "tzdata": other}, (Move(OLD, NEW),)) == {
        "certifi": NEW, "tzdata": other,
    }  # fmt: skip


def test_tables() -> None:
    assert table([]) == []
    assert table([("a", "long one"), ("bbb", "c")]) == ["a    long one", "bbb  c"]


def test_what_others_wrote_controls_no_terminal_and_calls_nobody() -> None:
    evil = Proposal(notes=("\033[2J\nhello @team",))
    assert text_report(evil, "refused", is_colored=False).splitlines()[1] == "  = ?[2J?hello @team"
    assert "- ?\\[2J?hello &#64;team\n" in markdown_report(evil, "refused")


def test_markdown_fits_into_a_pull_request() -> None:
    many = RootsDiff(removed=(Root("c" * 64, "CN=" + "x" * 190, 0, 0),) * 900)
    text = markdown_report(Proposal(moves=PROPOSAL.moves, roots={"certifi": many}), "refused")
    assert 20_000 < len(text) <= 60_000
    assert "<summary>900 removed, the first 100 of them</summary>" in text


def test_so_do_a_thousand_images() -> None:
    fates = [Fate(name=f"stays-{number}", old="sha256:" + "1" * 64) for number in range(900)]
    reason = "certs: certifi 2026.7.22 → certifi 2026.10.18"
    fates += [Fate(name=f"moves-{number}", reasons=(reason,)) for number in range(100)]
    alarms = (Alarm("services/api/service.toml: certs.require[0]", "root X is gone"),) * 1000
    text = markdown_report(Proposal(images=tuple(fates), alarms=alarms), "refused")
    assert 10_000 < len(text) <= 60_000
    assert "<summary>1000 images, the first 100 of them</summary>" in text
    assert (text.count("| moves-"), text.count("| stays-")) == (100, 0)
    assert "root X is gone\n- and 900 more\n" in text
