"""`doit up NAME…`: load images and run them in Docker, as declared; `--down` ends them."""

import os
import sys
from typing import TYPE_CHECKING, Any

from doit.cmd_run import Run
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import ConfigError, ScratchError, SinkError, StoreError, did_you_mean
from scratchtasks.core.span import span
from scratchtasks.plugin.loader import ScratchLoader
from scratchtasks.plugin.running import parse_choices, wanted

from .analyzed import session_of
from .options import options_first

if TYPE_CHECKING:
    from scratchtasks.plugin.session import Session
    from scratchtasks.sinks.docker.containers import Up as Done

PORTS = {
    "name": "ports",
    "short": "p",
    "long": "port",
    "type": list,
    "default": [],
    "help": "HOST:PORT or NAME:HOST:PORT, another host port than the declared one, 0 for any"
    " free one; may be repeated",
}
ADDRESS = {
    "name": "address",
    "long": "address",
    "type": str,
    "default": "",
    "help": "publish ports there [default: 127.0.0.1, or 0.0.0.0 of an engine on another machine]",
}
ENV = {
    "name": "variables",
    "short": "e",
    "long": "env",
    "type": list,
    "default": [],
    "help": "a variable of your own environment to pass on; may be repeated",
}
_DOWN = {
    "name": "down",
    "long": "down",
    "type": bool,
    "default": False,
    "help": "remove the containers, all of this workspace's without a NAME; volumes stay",
}
_VOLUMES = {
    "name": "volumes",
    "long": "volumes",
    "type": bool,
    "default": False,
    "help": "with --down: remove their volumes too",
}
_INPUTS = {
    "name": "inputs",
    "long": "inputs",
    "type": str,
    "default": "",
    "help": "write the paths of all that the images depend on into this file, as JSON",
}


class Up(Run):  # type: ignore[misc]
    """Builds and loads images, then runs each in a container of its own."""

    name = "up"
    doc_purpose = "load images and run them in Docker"
    doc_usage = "NAME... [VARIABLE=VALUE...]"
    doc_description = (
        "Each service runs as `scratch-NAME`, detached, with its ports published on the same"
        " numbers, its `[hosts]` entries, and the variables given here added to its own. What"
        " runs is left alone if nothing has changed, replaced once the new one has started, and"
        " started again if that one ends at once."
    )
    cmd_options = (*Run.cmd_options, PORTS, ADDRESS, ENV, _DOWN, _VOLUMES, _INPUTS)

    def parse_execute(self, in_args: list[str]) -> int:
        """Options may follow names."""
        self.words = options_first(in_args, self)
        return int(super().parse_execute(self.words))

    def execute(self, params: Any, args: list[str]) -> int:
        """Build, load, and bring up whatever could be loaded; the rest stays as it was."""
        if not isinstance(self.loader, ScratchLoader):  # doit would build all images
            raise InvalidCommand(f'{self.name}: wanted [tool.doit] loader = "scratch"')
        if not args and not params["down"]:
            raise InvalidCommand(f"{self.name}: wanted the NAME of a service")
        if params.get("volumes") and not params["down"]:
            hint = "`doit up --down --volumes` removes containers and their volumes"
            raise InvalidCommand(str(ConfigError("up", "--volumes goes with --down", hint)))
        self._args, self._is_down = args, params["down"]
        self._inputs = params["inputs"]
        self._names: list[str] = []
        try:
            return self._run(params)
        except (SinkError, StoreError) as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
        except ScratchError as error:
            raise InvalidCommand(str(error)) from None

    def _run(self, params: Any) -> int:
        """Raises: ScratchError."""
        has_failed = True
        try:
            self._choices = parse_choices(
                params["ports"], params["address"], params["variables"], variables(), os.environ
            )
            params["continue"] = True  # one that fails keeps no other back
            code = int(super().execute(params, []))
            code = 1 if code == 2 else code  # doit's 2 is here: something waited for a failure
            has_failed = code != 0
            session = session_of(self.loader)
            if params["down"]:
                self._take_down(session, with_volumes=params["volumes"])
            elif code in (0, 1) and not self._bring_up(session):
                code = code or 1
            return code
        except (KeyboardInterrupt, SystemExit):
            self._inputs = ""  # who has interrupted us does not read it
            raise
        finally:
            if self.loader.session is not None:  # whatever has ended it
                self.loader.session.loads.remove_displaced()
            if self._inputs and self._names and not self._is_down:
                from scratchtasks.plugin.watched import write_inputs

                write_inputs(
                    self._inputs, session_of(self.loader), self._names, has_failed=has_failed
                )

    def words_of_tasks(self) -> list[str]:
        """The tasks that `choose` will choose, where that is clear without a session."""
        if self._is_down or any("/" in word for word in self._args):
            return []
        return [f"load:{word.rpartition(':')[2]}" for word in self._args]

    def choose(self, session: "Session") -> list[str]:
        """The tasks that load what is to run.  Raises: GraphError, ConfigError."""
        if self._is_down:
            self._names = [service_of(word, session, known=None) for word in self._args]
            return []
        session.loads.check_containers()  # before there are names: no edit would help
        known = tuple(session.graph.services)
        self._names = list(dict.fromkeys(service_of(word, session, known) for word in self._args))
        # What is wrong with the command line is said before the build.
        self._choices.check([session.graph.services[name] for name in self._names])
        return [f"load:{name}" for name in self._names]

    def _bring_up(self, session: "Session") -> bool:
        """Whether all that was loaded is up; errors are told.  Raises: SinkError (no engine)."""
        from scratchtasks.plugin.signals import shielded
        from scratchtasks.sinks.docker.containers import PREFIX, bring_up

        names = [name for name in self._names if session.loads.has(name)]
        if not names:
            return True
        up = []
        client = session.loads.engine.client
        choices = self._choices.at(client.api.base_url)
        for name in names:
            image = session.loads.id_of(name)
            service = session.graph.services[name]
            container = wanted(service, image, session.world.root, choices)
            try:
                with span(session.world.tell, "up", container.name):
                    done = bring_up(container, client, shielded)
            except SinkError as error:
                sys.stderr.write(f"error: {error}\n")
                continue
            sys.stdout.write(_told(container.name, done))
            sys.stdout.flush()
            up.append(name)
        if up:
            logs = PREFIX + (up[0] if len(up) == 1 else "NAME")
            end = " ".join(up)
            sys.stdout.write(f"    logs: docker logs -f {logs}; end: doit up --down {end}\n")
        return up == names

    def _take_down(self, session: "Session", *, with_volumes: bool) -> None:
        from scratchtasks.sinks.docker.containers import services_up, take_down

        client = session.loads.engine.client
        up = services_up(session.world.root, client)
        for name in self._names:
            if name not in up and name not in session.graph.services:
                _refuse(name, tuple({*up, *session.graph.services}))
        gone = take_down(session.world.root, self._names, client, with_volumes=with_volumes)
        sys.stdout.write("".join(f"{name} removed\n" for name in gone) or "nothing is up\n")


def variables() -> dict[str, str]:
    """The words NAME=VALUE of the command line, which doit keeps for itself."""
    from doit import doit_cmd

    return dict(doit_cmd._CMDLINE_VARS or {})


def service_of(word: str, session: "Session", known: tuple[str, ...] | None) -> str:
    """The service that *word* (a name, a task or a label) means; one of *known*, if given.

    Raises: GraphError with the nearest.
    """
    if word.startswith("//"):
        word = session.task_of_label(word)
    kind, colon, name = word.partition(":")
    word = name if colon and kind in ("image", "load") else word
    if known is not None and word not in known:
        _refuse(word, known)
    return word


def _refuse(word: str, known: tuple[str, ...]) -> None:
    from scratchtasks.core.errors import GraphError

    raise GraphError(word, "there is no such service", did_you_mean(word, known))


def _told(name: str, done: "Done") -> str:
    if done.code is not None:
        return f"{name} ended with exit code {done.code}\n"
    words = {"resumed": "was paused, runs again", "unchanged": "is up to date"}
    where = ", ".join(map(str, done.ports))
    return f"{name} {words.get(done.how, done.how)}{': ' if where else ''}{where}\n"
