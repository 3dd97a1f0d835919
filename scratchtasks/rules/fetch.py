"""fetch: bytes from a pinned source outside the repository, one action however many want them."""

import re

from scratchtasks.core.action import Action
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.core.source import FromDebian, FromImage, FromMachine

Fetched = FromImage | FromMachine | FromDebian


def fetch(source: Fetched, what: str, platform: Platform | None = None) -> Action:
    """The action that fetches *what* is wanted of *source*: a `file`, `roots` or `zones`.

    Equal wishes give equal actions.  *platform* chooses from an image for several.
    """
    params: dict[str, Json] = {"what": what, **_source_params(source)}
    last = source.path.rpartition("/")[2] if isinstance(source, FromImage) else ""
    word = re.sub(r"[^A-Za-z0-9._-]", "_", last[:40]) if what == "file" else what
    return Action(
        # The platform is part of it, so that each has a task of its own.
        label=Label("", f"{word}-{key_of(params, str(platform or ''))[:12]}"),
        mnemonic="Fetch",
        op="fetch",
        params=params,
        platform=platform,
    )


def _source_params(source: Fetched) -> dict[str, Json]:
    match source:
        case FromImage():
            return {"kind": "image", "image": source.image, "path": source.path}
        case FromMachine():
            return {"kind": "machine", "path": source.path}
        case FromDebian():
            return {"kind": "debian", "package": source.package}
