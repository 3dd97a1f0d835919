"""The parts of one task for several platforms, built side by side."""

import os
from collections.abc import Sequence

from scratchtasks.core.platform import Platform
from scratchtasks.execute.engine import Engine


def build_side_by_side(engine: Engine, names: Sequence[str]) -> None:
    """Build the actions *names*: those of one platform in order, the platforms at once.

    A failure keeps no other platform from being finished, and remembered.

    Raises: ScratchError, Cancelled; of several failures the first platform's.
    """
    chains: dict[Platform | None, list[str]] = {}
    for name in names:
        chains.setdefault(engine.actions[name].platform, []).append(name)

    def build(chain: Sequence[str]) -> None:
        for name in chain:
            engine.build(name)

    if len(chains) < 2:  # nearly always: a thread would only cost
        build(names)
        return
    from concurrent.futures import ThreadPoolExecutor

    # A compiler keeps all cores busy by itself, but for linking, which is most of a small change.
    with ThreadPoolExecutor(min(len(chains), os.cpu_count() or 1)) as pool:
        builds = [pool.submit(build, chain) for chain in chains.values()]
    for each in builds:
        each.result()
