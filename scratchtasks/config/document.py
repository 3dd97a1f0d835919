"""TOML text to plain tables; a syntax error becomes one ConfigError with its line and column."""

from collections.abc import Mapping

from scratchtasks.core.errors import ConfigError, ConfigErrors


def parse_toml(text: str, origin: str, hint: str = "") -> Mapping[str, object]:
    """The tables of TOML *text*; *origin* is its file, for messages, and *hint* what to do where
    nobody has written it by hand.

    Raises: ConfigErrors of one for text that is not TOML.
    """
    import tomli

    try:
        return tomli.loads(text.removeprefix("\ufeff"))
    except tomli.TOMLDecodeError as error:
        where = f"{origin}: line {error.lineno}, column {error.colno}"
        what = error.msg[:1].lower() + error.msg[1:]
        raise ConfigErrors((ConfigError(where, f"not TOML: {what}", hint),)) from None
    except (ValueError, RecursionError) as error:
        # Python's own limits: integers of thousands of digits, brackets nested a thousand deep.
        what = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise ConfigErrors((ConfigError(origin, f"not TOML: {what}", hint),)) from None
