"""What a smoke run leaves in an engine when it is killed: marked with its owner, so that the next
run can remove it.

Containers say whose they are by a label; images, which are there before and after any container,
by their tag.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scratchtasks.store.owner import is_surely_gone, owner_in, this_process

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = "scratchtasks-smoke"
_KIND = ("scratchtasks", "smoke")
_OWNER = "scratchtasks.owner"


def own_labels() -> dict[str, str]:
    """What marks a container as this process's."""
    return {**dict([_KIND]), _OWNER: str(this_process())}


def own_tag(what: str) -> str:
    """A tag below REPOSITORY for an image of this process's that nobody else has; *what* is
    letters and digits, at most 16."""
    return f"{this_process()}_{what}-{os.urandom(4).hex()}"


def sweep(client: "DockerClient") -> None:
    """Remove containers and images whose owner was a process of this machine and is gone.

    What cannot be removed stays for another time.  Raises: what the SDK raises when it cannot
    list them.
    """
    from docker.errors import DockerException

    for container in client.api.containers(all=True, filters={"label": "=".join(_KIND)}):
        if _is_left((container.get("Labels") or {}).get(_OWNER, "")):
            try:
                client.api.remove_container(container["Id"], force=True, v=True)
            except DockerException:
                continue  # another run was quicker
    for name in _tags(client):
        if _is_left(name.rpartition(":")[2].partition("_")[0]):
            try:
                client.api.remove_image(name)
            except DockerException:
                continue


def _is_left(text: str) -> bool:
    owner = owner_in(text)
    return owner is not None and is_surely_gone(owner)


def _tags(client: "DockerClient") -> Iterator[str]:
    for image in client.api.images(filters={"reference": REPOSITORY}):
        for name in image.get("RepoTags") or ():
            # Podman knows them by a longer name.
            if name.rpartition(":")[0].rpartition("/")[2] == REPOSITORY:
                yield name
