"""`doit resolve -f PATH…`: manifests with every `scratch://NAME` replaced by what was pushed."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from doit.cmd_run import Run
from doit.cmdparse import CmdOption
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import ConfigError, ConfigErrors, ScratchError
from scratchtasks.plugin.loader import ScratchLoader
from scratchtasks.plugin.output import write_output
from scratchtasks.plugin.session import Session

from .analyzed import session_of
from .options import OptionsAnywhere

if TYPE_CHECKING:
    from scratchtasks.manifests.references import Reference

_MANIFESTS = {
    "name": "manifests",
    "short": "f",
    "long": "filename",
    "type": list,
    "default": [],
    "help": "a manifest, a folder of them, or - for standard input; may be repeated",
}
_OUTPUT = {
    "name": "output",
    "short": "o",
    "long": "output",
    "type": str,
    "default": "",
    "help": "write into this folder and not to stdout",
}
_LOCAL = {
    "name": "local",
    "long": "local",
    "type": bool,
    "default": False,
    "help": "load into the engine and use its image ids; nothing is pushed",
}
_STARTED_IN = {"name": "started_in", "type": str, "default": ""}
"""No option of the command line: `scratch` says where it was started, for paths are from there."""


class Resolve(OptionsAnywhere, Run):  # type: ignore[misc]
    """Builds and pushes what the manifests name, then writes them with digests."""

    name = "resolve"
    doc_purpose = "build, push, and put digests into Kubernetes, Kustomize, Compose and Helm files"
    doc_usage = "-f PATH..."
    doc_description = (
        "`scratch://NAME`, as a whole value, becomes `repository@sha256:…`; all else stays as it"
        " is, and text that has it as a part is told on stderr."
    )
    cmd_options = (*Run.cmd_options, _MANIFESTS, _OUTPUT, _LOCAL, _STARTED_IN)

    def get_options(self) -> list[CmdOption]:
        """doit's own -f names a dodo.py, and -o a file for its report; here they are kubectl's and
        kustomize's."""
        options: list[CmdOption] = super().get_options()
        for option in options:
            if option.name in ("dodoFile", "outfile"):
                option.short = ""
        return options

    def execute(self, params: Any, args: list[str]) -> int:
        """Build and push; write only when all of it went well."""
        paths = [*params["manifests"], *args]
        if not paths:
            raise InvalidCommand("resolve: wanted -f PATH")
        if not isinstance(self.loader, ScratchLoader):  # doit would build all images
            raise InvalidCommand('resolve: wanted [tool.doit] loader = "scratch"')
        folder = params["started_in"]
        self._paths = [_from_here(path, folder) for path in paths]
        self._output = _from_here(params["output"], folder)
        self._local = params["local"]
        params["outfile"] = sys.stderr  # stdout is for manifests
        code = int(super().execute(params, []))
        if code == 0:
            try:
                self._write(session_of(self.loader))
            except ScratchError as error:
                raise InvalidCommand(str(error)) from None
        return code

    def choose(self, session: Session) -> list[str]:
        """The tasks that make what the manifests name.

        Raises: ConfigErrors for what cannot be read, for what is no YAML, and for all unknown
        names at once.
        """
        from scratchtasks.manifests.references import Reference, check_names, survey
        from scratchtasks.manifests.syntax import check_syntax
        from scratchtasks.plugin.manifest_files import outputs, read_manifests

        stdin = sys.stdin.buffer if sys.stdin else None
        self._manifests = read_manifests(self._paths, stdin, skip=self._output)
        if self._output:
            self._placed = outputs(self._manifests, self._output)
        seen = [each for file in self._manifests for each in survey(file.text, file.origin)]
        found = [each for each in seen if isinstance(each, Reference)]
        named = {each.place.origin for each in found}
        check_syntax({file.origin: file.text for file in self._manifests if file.origin in named})
        check_names(found, session.graph.services)
        if not self._local:
            _check_places(found, session)
        for each in seen:
            note = each.note if isinstance(each, Reference) else str(each)
            if note:
                session.events.show(f"{note}\n".encode("utf-8", "backslashreplace"))
        self._names = list(dict.fromkeys(reference.name for reference in found))
        session.pushes.is_quiet = True
        return [f"{'load' if self._local else 'push'}:{name}" for name in self._names]

    def _write(self, session: Session) -> None:
        from scratchtasks.manifests.references import lookup_in, resolve
        from scratchtasks.plugin.manifest_files import joined, write_manifests

        image_of: Callable[[str], str] = session.loads.id_of if self._local else session.pushes.of
        lookup = lookup_in({name: image_of(name) for name in self._names})
        texts = {file.origin: resolve(file.text, file.origin, lookup) for file in self._manifests}
        if self._output:
            write_manifests(self._placed, texts)
        else:
            write_output(joined(list(texts.values())))


def _from_here(path: str, folder: str) -> str:
    """*path*, as typed in *folder*, from the current one; `-` and "" stay."""
    if not folder or path in ("", "-") or os.path.isabs(path):
        return path
    return os.path.relpath(os.path.join(folder, path))


def _check_places(found: "Iterable[Reference]", session: Session) -> None:
    """Refuse references to images that have no place in a registry.  Raises: ConfigErrors."""
    known = session.names_for("push")
    errors = tuple(
        ConfigError(each.where, f"image {each.name!r} has no [push]", "set its push.repository")
        for each in found
        if each.name not in known
    )
    if errors:
        raise ConfigErrors(errors)
