"""Options that nobody has: told in one line with the nearest, where doit would show its own
objects."""

import getopt
import os
from collections.abc import Collection, Sequence
from typing import Any

from doit.cmd_base import DoitCmdBase
from doit.cmdparse import CmdOption, CmdParse
from doit.task import Task

from scratchtasks.core.errors import GraphError, did_you_mean

from .switches import OPTIONS, PUSH_OPTIONS

_BY_DOIT = ("doit", "scratch")


def is_doit(argv: Sequence[str]) -> bool:
    """Whether *argv* is a command line of doit, and not of a program that has imported it."""
    folder, name = os.path.split(argv[0])
    return name in _BY_DOIT or (name == "__main__.py" and os.path.basename(folder) == "doit")


def fault_of(words: Sequence[str], loader: Any) -> str:
    """What is wrong with the options among *words*, a command line of doit's; "" for nothing.

    They are read as doit itself does it.  Of commands that are plugins nothing is said.
    """
    from doit.doit_cmd import DoitMain

    if words[:1] in (["--help"], ["--version"]):
        return ""
    at = _parser(loader.cmd_options)
    try:
        _, rest = getopt.getopt(list(words), at.get_short(), at.get_long())
    except getopt.GetoptError:
        rest = list(words)
    rest = [word for word in rest if word.startswith("-") or "=" not in word]
    commands = {each.get_name(): each for each in DoitMain.DOIT_CMDS}
    command = commands[rest.pop(0) if rest and rest[0] in commands else "run"]
    shared = DoitCmdBase.base_options + loader.cmd_options
    has_all = issubclass(command, DoitCmdBase)
    parser = _parser((shared if has_all else ()) + tuple(command.cmd_options))
    try:
        getopt.getopt(rest, parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        return fault_text(error, command.get_name(), parser)
    return ""


def fault_text(error: getopt.GetoptError, command: str, parser: CmdParse) -> str:
    """*error* about an option of *command*, whose options *parser* has."""
    return f"{command}: {error.msg}{_hint(error, command, parser)}"


def check_options(cmd: Any, words: Sequence[str], users_tasks: Sequence[Task]) -> None:
    """See to it that no option is left among *words*, behind tasks, where no task has any.

    What may be meant for one of the user's is left to doit.  Raises: GraphError.
    """
    if any(task.loader for task in users_tasks):
        return
    takers = {task.name for task in users_tasks if task.params or task.pos_arg}
    before = cmd.name
    for word in words:
        if word in takers:
            return
        if word.startswith("-") and word.strip("-"):
            option = word.partition("=")[0] if word.startswith("--") else word[:2]
            what = f"option {option} not recognized"
            raise GraphError(before, what, _hint_behind(option, cmd, words))
        before = word


def _hint_behind(option: str, cmd: Any, words: Sequence[str]) -> str:
    if cmd.cmdparser.get_option(option)[0]:
        return f"options of `{cmd.name}` go ahead of tasks"
    if option in PUSH_OPTIONS:
        return "it is an option of `push`"
    known = [f"--{each['long']}" for each in OPTIONS]
    if any(each.partition(":")[0] == "push" for each in words):
        known += PUSH_OPTIONS
    return _near(option, known) or f"see `doit help {cmd.name}`"


def _hint(error: getopt.GetoptError, command: str, parser: CmdParse) -> str:
    if not error.msg.endswith("not recognized"):
        return ""
    known = [f"--{each.rstrip('=')}" for each in parser.get_long()]
    near = _near(f"--{error.opt}", known) if len(error.opt) > 1 else ""
    return f"\n    hint: {near or f'see `doit help {command}`'}"


def _near(option: str, known: Collection[str]) -> str:
    found = did_you_mean(option, tuple(known))
    return found if found.startswith("did") else ""


def _parser(options: Sequence[dict[str, Any]]) -> CmdParse:
    return CmdParse([CmdOption(each) for each in options])
