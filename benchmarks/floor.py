"""The floor of assembling images: hash and compress files as ours does, and nothing else.

    python floor.py PROCESSES THREADS OUT FILE...

Each FILE is read, hashed, compressed in members of 1 MiB, and those are hashed; OUT is where
they are written, or `-`.  Prints one line of JSON.  A script of its own, not a module of the
package: its start-up is no more than Python's.
"""

import hashlib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import deflate

CHUNK = 1 << 20
LEVEL = 5


def squeeze(path: str, out: str, pool: ThreadPoolExecutor | None) -> tuple[str, str]:
    """Read, hash, compress, hash and perhaps write *path*; both digests."""
    with open(path, "rb") as file:
        data = memoryview(file.read())
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    members = (pool.map if pool else map)(_member, chunks)
    raw, blob = hashlib.sha256(data), hashlib.sha256()
    target = os.devnull if out == "-" else f"{out}/{os.getpid()}-{threading.get_ident()}"
    with open(target, "wb") as kept:
        for member in members:
            blob.update(member)
            kept.write(member)
    return raw.hexdigest(), blob.hexdigest()


def _member(chunk: memoryview) -> bytes | bytearray:
    return deflate.gzip_compress(chunk, LEVEL)


def work(paths: list[str], threads: int, out: str) -> None:
    """Do all of *paths* in this process."""
    if threads < 2:
        for path in paths:
            squeeze(path, out, None)
        return
    # Files side by side, and the members of a large one too.
    with ThreadPoolExecutor(threads) as members, ThreadPoolExecutor(threads) as files:
        for _ in files.map(lambda path: squeeze(path, out, members), paths):
            pass


def main(processes: int, threads: int, out: str, paths: list[str]) -> None:
    """Share *paths* among *processes*."""
    children = []
    for number in range(1, processes):
        child = os.fork()
        if child == 0:
            work(paths[number::processes], threads, out)
            os._exit(0)
        children.append(child)
    work(paths[0::processes], threads, out)
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"process {child} failed")
    print(json.dumps({"files": len(paths)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
