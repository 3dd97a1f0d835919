"""Jobs on a bounded number of threads, each of which may lead to more jobs."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
Job = Callable[[], "Iterable[Job]"]
"""Does its work and returns the jobs that were waiting for it."""


def run_jobs(jobs: Iterable[Job], workers: int) -> None:
    """Run *jobs* and those they return on *workers* threads.

    After the first failure none is begun; those under way end, and the failure is raised.
    """
    first = list(jobs)
    if len(first) == 1:  # the usual edit, or push of an unchanged image: a thread would only cost
        first = list(first[0]())
    if not first:
        return
    from concurrent.futures import Future, ThreadPoolExecutor
    from queue import SimpleQueue

    # Not concurrent.futures.wait, which looks at all that are pending each time one is done.
    done: SimpleQueue[Future[Iterable[Job]]] = SimpleQueue()
    pending = 0
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                for job in first:
                    pool.submit(job).add_done_callback(done.put)
                    pending += 1
                if not pending:
                    return
                first = list(done.get().result())
                pending -= 1
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def map_all(work: Callable[[T], R], items: Sequence[T], workers: int = 0) -> list[R]:
    """`[work(item) for item in items]`, on *workers* threads; raises the first failure.

    0 workers are as many as there are cores.
    """
    results: dict[int, R] = {}

    def job(index: int) -> Job:
        def run() -> Iterable[Job]:
            results[index] = work(items[index])
            return ()

        return run

    run_jobs([job(index) for index in range(len(items))], workers or os.cpu_count() or 1)
    return [results[index] for index in range(len(items))]
