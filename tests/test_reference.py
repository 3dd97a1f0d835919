"""docs/reference.md says what the code does."""

from pathlib import Path

from scratchtasks.plugin.reference import reference


def test_the_reference_is_made_from_this_code() -> None:
    committed = Path(__file__).parent.parent.joinpath("docs/reference.md").read_text("utf-8")
    assert committed == reference(), "run: python -m scratchtasks.plugin.reference"
