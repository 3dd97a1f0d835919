"""Where an upload goes on that the process before this one did not finish."""

import json
import os
import time
from contextlib import suppress
from typing import Any

from scratchtasks.core.digest import Digest, digest_of, hex_of
from scratchtasks.core.errors import StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.store.atomic import remove, write_atomic

from .reference import Repository

_LIFE = 7 * 24 * 60 * 60
"""Seconds after which registries forget an upload that nobody goes on with (distribution's)."""


@dataclass(frozen=True, slots=True)
class Session:
    """An upload under way: where the next bytes go, and how many (*chunk*) go there at once."""

    location: str
    chunk: int


class Uploads:
    """One small file below *folder* for each large blob on its way to a repository.

    A location may hold a signed state, and whoever has that may write to the repository: it is a
    secret.  So files are 0600, hold nothing else, and go when the upload is done, refused or old.
    Nothing is kept with "" as *folder*, and nothing fails here: what is lost is sent again.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find(self, repository: Repository, digest: Digest) -> Session | None:
        """The session for the blob *digest*, if one was left."""
        if not self._folder:
            return None
        try:
            with open(self._path(repository, digest), "rb") as file:
                value: Any = json.loads(file.read())
            location, chunk = value["location"], value["chunk"]
        except (OSError, ValueError, RecursionError, TypeError, KeyError):
            return None
        is_sane = isinstance(location, str) and type(chunk) is int and chunk > 0
        return Session(location, chunk) if is_sane else None

    def keep(self, repository: Repository, digest: Digest, session: Session) -> None:
        """Remember *session* in place of the one before."""
        if not self._folder:
            return
        data = json.dumps({"location": session.location, "chunk": session.chunk}).encode()
        with suppress(StoreError):
            write_atomic(self._path(repository, digest), data, mode=0o600)

    def forget(self, repository: Repository, digest: Digest) -> None:
        """The session is over."""
        if not self._folder:
            return
        with suppress(OSError):
            remove(self._path(repository, digest))

    def forget_old(self) -> None:
        """What no registry has any more, as nobody has gone on with it for a week."""
        if not self._folder:
            return
        limit = time.time() - _LIFE
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < limit:
                        os.unlink(entry.path)

    def _path(self, repository: Repository, digest: Digest) -> str:
        return os.path.join(self._folder, hex_of(digest_of(f"{repository}@{digest}".encode())))


NOWHERE = Uploads("")
"""Keeps nothing."""
