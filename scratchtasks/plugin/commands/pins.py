"""`doit pins`: for every image what it ships, how old that is, and what would change."""

import json
import time

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import ScratchError

from .analyzed import session_of
from .options import OptionsAnywhere

_JSON = {
    "name": "json",
    "long": "json",
    "type": bool,
    "default": False,
    "help": "for scripts",
}


class Pins(OptionsAnywhere, DoitCmdBase):  # type: ignore[misc]
    """Reads what finished images say of themselves and asks upstream; changes nothing."""

    name = "pins"
    doc_purpose = "show which CA roots and time zones each image ships, and how old they are"
    doc_usage = ""
    doc_description = "What upstream has now is asked as `doit refresh` does, under its policy."
    cmd_options = (_JSON,)

    def _execute(self, pos_args: list[str], json: bool) -> int:
        from scratchtasks.plugin.refreshing.shipped import shipped
        from scratchtasks.plugin.streams import end_with_reader
        from scratchtasks.refresh.report_text import table

        if pos_args:
            raise InvalidCommand(f"pins: takes no arguments, got {pos_args[0]!r}")
        session = session_of(self.loader)
        try:
            rows, fault = shipped(session, time.time())
        except ScratchError as error:
            raise InvalidCommand(str(error)) from None
        end_with_reader()  # from here on no registry is written to
        if json:
            self.outstream.write(_json([row.to_json() for row in rows], fault))
            return 0
        head = ("IMAGE", "WHAT", "SHIPS", "RELEASED", "AGE", "LOCKED", "UPSTREAM")
        for line in table([head, *(row.cells for row in rows)]):
            self.outstream.write(f"{line}\n")
        if fault:
            self.outstream.write(f"upstream is not known: {fault}\n")
        return 0


def _json(rows: list[dict[str, object]], fault: str) -> str:
    return json.dumps({"images": rows, "upstream_fault": fault}, indent=2) + "\n"
