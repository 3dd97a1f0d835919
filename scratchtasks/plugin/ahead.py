"""What a run will need later, imported while a compiler works and Python would only wait."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

# In small pieces, for one that was begun is ended: a compiler's answer waits for no more.
_BUILDING = (
    "elftools.construct",
    "elftools.elf.structs",
    "scratchtasks.execute.elf",
    "scratchtasks.execute.rootfs",
    "scratchtasks.execute.image",
    "concurrent.futures.thread",
    "scratchtasks.plugin.remember",
)
_LOADING = (
    "http.client",
    "urllib3",
    "requests",
    "docker.errors",
    "docker.api",
    "docker",
    "scratchtasks.sinks.engines",
    "scratchtasks.sinks.docker.containers",
)


def chores(*, loads: bool) -> Iterator[Callable[[], object]]:
    """The imports of a run that builds, and of one that *loads* too; each may be left undone."""
    for name in (*_BUILDING, *(_LOADING if loads else ())):
        yield partial(import_module, name)
