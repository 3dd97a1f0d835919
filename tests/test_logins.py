"""Logins in text of other programs."""

import pytest

from scratchtasks.core.logins import without_logins


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("see https://u:p%40s@s@host/x and http://token@host/, not mail@host",
         "see https://host/x and http://host/, not mail@host"),
        ("('u:p/x@h') \"u:p@h\" //u:p@h https:/u:p@h (https://u@h)\n a://b/c:d@e",
         "('h') \"h\" //h https:/h (https://h)\n a://e"),
        ("at 12:30, x:y", "at 12:30, x:y"),
        # A pattern would try each beginning with each end.
        ("x" * 200_000, "x" * 200_000),
        ("a:" * 100_000, "a:" * 100_000),
        ("/" * 200_000 + "@h", "/" * 200_000 + "h"),
    ],
    ids=["urls", "others", "none", "long", "colons", "slashes"],
)  # fmt: skip
def test_logins_are_taken_out_of_any_text(text: str, told: str) -> None:
    assert without_logins(text) == told
