"""docs/reference.md, from the code; `python -m scratchtasks.plugin.reference` prints it."""

import sys
from collections.abc import Iterator

from doit.cmd_run import Run

from scratchtasks.config.reference import reference_markdown

from .commands.cache import Cache
from .commands.pins import Pins
from .commands.refresh import Refresh
from .commands.resolve import Resolve
from .commands.schedule import Schedule
from .commands.up import Up
from .commands.watch import Watch
from .commands.why import Why
from .tasks import GROUPS

_HEAD = """\
# Reference

Made from the code by `python -m scratchtasks.plugin.reference`; a test holds it against the code.
"""


def reference() -> str:
    """The whole reference as Markdown: commands, tasks, and every key of every file."""
    return "\n".join([_HEAD, *_commands(), *_tasks(), reference_markdown()]).rstrip() + "\n"


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "Beside doit's own (`doit help`); options follow the command.\n"
    for command in (Why, Cache, Resolve, Up, Watch, Refresh, Pins, Schedule):
        usage = f" {command.doc_usage}" if command.doc_usage else ""
        yield f"- `doit {command.name}{usage}`: {command.doc_purpose}. {command.doc_description}"
        # What a command has of `run` is in `doit help run`.
        for option in [each for each in command.cmd_options if each not in Run.cmd_options]:
            if "long" not in option:
                continue
            yield f"  - `--{option['long']}`: {option['help']}"
    yield "- `doit --locked`, as any command that runs tasks: refuse to start when scratch.lock"
    yield "  lacks a pin that the run needs, naming all of them (`SCRATCH_LOCKED=1` does the same)."
    yield "- `doit --offline`: fetch nothing; what the store lacks is told all at once"
    yield "  (`SCRATCH_OFFLINE=1`).  Compilers and pip are kept from the network too."
    yield "- `doit --profile FILE`: write a Chrome trace for ui.perfetto.dev when the command ends,"
    yield "  also after a failure or Ctrl-C.  Any command takes it before its name, one that runs"
    yield "  tasks behind their names too.  Categories: `analyze`, `scan`, `hit`, `compile`,"
    yield "  `action`, `layer`, `export`, `smoke`, `load`, `upload`, `up`, `remember`; sizes are in"
    yield "  bytes.  What worker processes do (`-P process`) is not in it."
    yield "- `scratch …`: doit at the workspace's root, from any folder inside; `:image` is the"
    yield "  label of the folder one is in.\n"


def _tasks() -> Iterator[str]:
    yield "## Tasks\n"
    yield "| tasks | the group |"
    yield "|---|---|"
    for name, doc in GROUPS.items():
        whose = "[FOLDER/]NAME" if name == "rule" else "NAME"
        yield f"| `{name}:{whose}` | `{name}`: {doc} |"
    yield "\nWith several platforms, `binary:NAME` and `rootfs:NAME` have a part for each, such as"
    yield "`binary:NAME@linux/arm64`.  An engine gets one platform: `load`, `up` and `watch` build"
    yield "no more than that of this machine, or what suits it best, unless the engine wants"
    yield "another.\n"
    yield "Every task answers to its label too: `doit //services/api:image`.  `push` takes"
    yield "`--dry-run` (print the plan; send nothing, try nothing out) and `--json`.\n"
    yield 'A task of yours may have `result_dep("image:api")` in its `uptodate`, and run when that'
    yield 'image is another; `getargs` knows its key: `{"key": ("image:api", "scratchtasks")}`.\n'
    yield "What is pushed together is one transaction: blobs, then manifests by digest, then tags,"
    yield "those that move before those that are new.  When it fails, moved tags are put back to"
    yield "what they meant just before, new ones are taken away again, and the message says what"
    yield "remains; the same push continues."
    yield "A blob of more than 16 MiB goes on where a killed push left it, if the registry has that"
    yield "still: `.scratch/uploads/` says where, to its owner alone, until the upload is done, or"
    yield "a push finds it a week old."
    yield "A registry that deletes nothing (Docker Hub; docker-registry without `delete: enabled:"
    yield "true`) may be left with some of the new tags, each on a whole image: the message then"
    yield "names them.\n"
    yield "Logins are those of docker, podman and skopeo: `REGISTRY_AUTH_FILE`, else the JSON that"
    yield "`DOCKER_AUTH_CONFIG` holds, else `config.json` below `DOCKER_CONFIG` or `~/.docker`,"
    yield "else podman's `auth.json`, with their credential helpers.  Private CAs are found in"
    yield "`SSL_CERT_FILE` and docker's and podman's `certs.d`, proxies in `HTTPS_PROXY` and"
    yield "`NO_PROXY`.  HTTP without TLS is spoken to loopback, and to"
    yield "the registries in `push.plain_http` of `scratch.toml`.\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
