"""`doit refresh`: move the pins, say what that means, rebuild only what it touches."""

import json
import os
import sys
import time

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import ScratchError
from scratchtasks.plugin.output import write_output
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Proposal

from .analyzed import session_of
from .options import OptionsAnywhere


def _flag(name: str, help_text: str) -> dict[str, object]:
    return {"name": name, "long": name, "type": bool, "default": False, "help": help_text}


_OPTIONS = (
    _flag("check", "say what would be new and change nothing"),
    _flag("accept", "go ahead even if something that an image ships or names disappears"),
    _flag("json", "the report as JSON"),
    _flag("markdown", "the report as the body of a pull request"),
    _flag("build", "build and try out the images that change, or leave scratch.lock as it was"),
    _flag("push", "push them too, all or none; implies --build"),
)


class Refresh(OptionsAnywhere, DoitCmdBase):  # type: ignore[misc]
    """Asks upstream under `[refresh]`'s policy and rewrites scratch.lock."""

    name = "refresh"
    doc_purpose = "move the pins in scratch.lock and say what that changes"
    doc_usage = ""
    doc_description = (
        "Exit code 0: nothing new; 10: refreshed (or would be, with --check); 20: refused, for "
        "something would disappear and --accept was not given; all others are errors."
    )
    cmd_options = _OPTIONS

    def _execute(
        self,
        pos_args: list[str],
        check: bool,
        accept: bool,
        json: bool,
        markdown: bool,
        build: bool,
        push: bool,
    ) -> int:
        if pos_args:
            raise InvalidCommand(f"refresh: takes no arguments, got {pos_args[0]!r}")
        if json and markdown:
            raise InvalidCommand("refresh: wanted --json or --markdown, got both")
        if check and (build or push):
            raise InvalidCommand("refresh: --check changes nothing, so it cannot build or push")
        form = "json" if json else "markdown" * markdown
        session = session_of(self.loader)
        self.loader.workspace.watch_signals()
        wishes = {"check": check, "accept": accept, "build": build, "push": push}
        try:
            return self._refresh(session, wishes, form)
        except ScratchError as error:
            raise InvalidCommand(str(error)) from None

    def _refresh(self, session: Session, wishes: dict[str, bool], form: str) -> int:
        from scratchtasks.plugin.refreshing.night import CODES, Wishes, nobody, refresh

        shown: list[Proposal] = []

        def show(proposal: Proposal, outcome: str) -> None:
            if not shown:
                self._show(proposal, form, outcome)
            shown.append(proposal)

        # People want to read what is being built; scripts get one report, at the end.  A report
        # that nobody can get comes before the lock moves: the next night tells it once more.
        proposal, outcome = refresh(
            session,
            Wishes(**wishes),
            time.time(),
            on_trial=nobody if form else show,
            on_ready=show,
            dodo=self.loader.dodo,
        )
        show(proposal, outcome)
        return CODES[outcome]

    def _show(self, proposal: Proposal, form: str, outcome: str) -> None:
        if form == "json":
            from scratchtasks.refresh.report_json import json_report

            text = json.dumps(json_report(proposal, outcome), indent=2, ensure_ascii=False) + "\n"
        elif form == "markdown":
            from scratchtasks.refresh.report_markdown import markdown_report

            text = markdown_report(proposal, outcome)
        else:
            from scratchtasks.refresh.report_text import text_report

            text = text_report(proposal, outcome, is_colored=_is_colored())
        write_output(text)


def _is_colored() -> bool:
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
