"""Options of commands: doit's parser stops at the first word that is none."""

import getopt
from typing import Any


def options_first(words: list[str], parser: Any) -> list[str]:
    """*words* with the options of doit's *parser* before all others; left alone if that fails.

    People add options to the end of what they have just typed.
    """
    try:
        options, rest = getopt.gnu_getopt(words, parser.get_short(), parser.get_long())
    except getopt.GetoptError:
        return words  # doit says what is wrong
    return [*(each for pair in options for each in _as_typed(*pair, parser)), *rest]


def _as_typed(option: str, value: str, parser: Any) -> list[str]:
    known, _ = parser.get_option(option)
    return [option] if known is not None and known.type is bool else [option, value]
