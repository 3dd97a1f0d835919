"""The console script `scratch`: doit, started at the workspace's root from any folder in it.

Plain doit reads only `./pyproject.toml`: in a subfolder it would lose the plugin without a word
and open a second database.  Without a word on the command line doit is asked only if there is
something to do (see glance).
"""

import os
import sys
from collections.abc import Sequence

_USAGE = 3
"""doit's exit code for errors before a run."""


def main() -> None:
    """Run doit with our loader; exits with doit's codes, 130 after a Ctrl-C."""
    sys.exit(run(sys.argv[1:]))


def run_again(parent: int) -> None:
    """Run doit with our loader in the current folder, as sys.argv has it; exits as `main`.

    It ends with the process *parent*, which has started it and holds the workspace's lock for it.
    """
    from .signals import end_with_parent, interrupted

    folder = os.getcwd()
    try:
        end_with_parent(parent)
        sys.exit(_doit(folder, sys.argv[1:], folder))
    except KeyboardInterrupt:
        sys.exit(interrupted())


def run(arguments: Sequence[str]) -> int:
    """Run the command line *arguments* from the current folder; returns the exit code."""
    if arguments[:1] == ["--version"]:
        from .streams import end_with_reader

        end_with_reader()
        print(_version())
        return 0
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return _refuse("the current folder was removed")
    root = find_workspace(folder)
    if root is None:
        if arguments[:1] in (["help"], ["--help"]):
            root = folder
        else:
            return _refuse(
                "no workspace here or above (wanted a dodo.py that imports scratchtasks)"
            )
    if root != folder:
        os.chdir(root)
        # As a shell sets it: with the folder of the start in it, each would have a memo of its own.
        os.environ["PWD"] = root
    try:
        if arguments[:1] != ["resolve"]:  # all its words are paths, and there it knows best
            arguments = [from_root(argument, folder, root) for argument in arguments]
        arguments = _with_trace(arguments, folder)
        from .glance import is_nothing_to_do, look_ahead

        if arguments:
            look_ahead(root, arguments)
        elif is_nothing_to_do(root):
            return 0
        return _doit(root, list(arguments), folder)
    except KeyboardInterrupt:  # before the run has its own handler
        from .signals import interrupted

        return interrupted()


def find_workspace(folder: str) -> str | None:
    """The nearest folder, from the absolute *folder* upwards, that is a workspace.

    That is a folder with a `dodo.py` that mentions scratchtasks, or that stands beside a
    `scratch.toml`, or beside a doit configuration (`pyproject.toml`, `doit.cfg`) whose loader is
    `scratch`.
    """
    while True:
        dodo = os.path.join(folder, "dodo.py")
        if os.path.isfile(dodo) and (
            os.path.isfile(os.path.join(folder, "scratch.toml"))
            or b"scratchtasks" in _read(dodo)
            or _is_our_loader(folder)
        ):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def from_root(argument: str, folder: str, root: str) -> str:
    """*argument*, as typed in *folder*, as it has to be at *root*; both are absolute.

    `:image` is a target of the package that *folder* is; `./x`, `../x` and an existing `x/y` are
    files.  Labels, task names, options and variables stay as they are.
    """
    if argument.startswith(":") and len(argument) > 1:
        package = os.path.relpath(folder, root)
        return f"//{'' if package == '.' else package}{argument}"
    path = os.path.join(folder, argument)
    is_path = argument.startswith(("./", "../")) or (
        "/" in argument and not argument.startswith(("/", "-")) and os.path.lexists(path)
    )
    return os.path.relpath(path, root) if is_path else argument


def _with_trace(arguments: Sequence[str], folder: str) -> list[str]:
    """*arguments* with the file of --profile, which need not be there yet, below *folder*."""
    found: list[str] = []
    for argument in arguments:
        option, joint, path = argument.partition("=")
        if found[-1:] == ["--profile"]:
            argument = os.path.join(folder, argument)
        elif option == "--profile" and joint:
            argument = f"{option}={os.path.join(folder, path)}"
        found.append(argument)
    return found


def _doit(root: str, arguments: list[str], folder: str) -> int:
    from configparser import Error

    from doit.doit_cmd import DoitConfig, DoitMain

    class Scratch(DoitMain):  # type: ignore[misc]
        BIN_NAME = "scratch"

    try:
        # What pyproject.toml or doit.cfg says goes before extra_config.
        config = {"GLOBAL": {"loader": "scratch"}, "resolve": {"started_in": folder}}
        doit = Scratch(extra_config=config)
    except (ValueError, OSError, Error):
        for name in filter(os.path.exists, ("pyproject.toml", "doit.cfg")):
            try:
                DoitConfig().loads([name])
            except (ValueError, OSError, Error) as error:
                return _refuse(f"{os.path.join(root, name)}: {' '.join(str(error).split())}")
        raise
    return int(doit.run(arguments) or 0)


def _is_our_loader(folder: str) -> bool:
    for name in ("pyproject.toml", "doit.cfg"):
        data = _read(os.path.join(folder, name))
        if b"scratch" in data and _loader(name, data.decode("utf-8", "replace")) == "scratch":
            return True
    return False


def _loader(name: str, text: str) -> object:
    """The loader that doit's configuration *text* names."""
    import configparser
    import tomllib

    if name == "doit.cfg":
        ini = configparser.ConfigParser(allow_no_value=True, delimiters=("=",), interpolation=None)
        try:
            ini.read_string(text)
        except configparser.Error:
            return None
        return ini.get("GLOBAL", "loader", fallback=None)
    try:
        value: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None  # doit says so itself, if this is the workspace
    for key in ("tool", "doit", "loader"):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "(not installed)"

    return f"scratchtasks {of('scratchtasks')}, doit {of('doit')}"


def _refuse(why: str) -> int:
    sys.stderr.write(f"scratch: {why}\n")
    return _USAGE
