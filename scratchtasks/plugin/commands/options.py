"""Options of our commands: doit's parser stops at the first word that is none, and shows its own
objects to those who mistype one."""

import getopt
from typing import Any

from doit.cmd_base import Command
from doit.exceptions import InvalidCommand

from scratchtasks.plugin.mistyped import fault_text


class OptionsAnywhere(Command):  # type: ignore[misc]
    """A command whose options may follow other words; one that it has not is told in one line."""

    def parse_execute(self, in_args: list[str]) -> int:
        """Parse *in_args*, and execute.  Raises: InvalidCommand."""
        return int(super().parse_execute(options_first(in_args, self)))


def options_first(words: list[str], command: Any) -> list[str]:
    """*words* with the options of doit's *command* before all others: people add options to the
    end of what they have just typed.

    Raises: InvalidCommand for one that it has not, or that lacks its value.
    """
    parser = command.cmdparser
    try:
        options, rest = getopt.gnu_getopt(words, parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        raise InvalidCommand(fault_text(error, command.name, parser)) from None
    return [*(each for pair in options for each in _as_typed(*pair, parser)), *rest]


def _as_typed(option: str, value: str, parser: Any) -> list[str]:
    known, _ = parser.get_option(option)
    return [option] if known is not None and known.type is bool else [option, value]
