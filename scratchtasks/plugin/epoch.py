"""The time that images carry."""

from collections.abc import Mapping

from scratchtasks.core.errors import ConfigError


def epoch_of(env: Mapping[str, str]) -> int:
    """Seconds since 1970 for everything an image dates: SOURCE_DATE_EPOCH in *env*, or 0.

    Raises: ConfigError.  Source: reproducible-builds.org/specs/source-date-epoch.
    """
    text = env.get("SOURCE_DATE_EPOCH", "") or "0"
    is_number = text.isascii() and text.isdigit() and len(text) <= 12  # int refuses thousands
    if not is_number or int(text) >= 253402300800:
        raise ConfigError(
            "SOURCE_DATE_EPOCH", f"wanted seconds since 1970 up to the year 9999, got {text!r}"
        )
    return int(text)
