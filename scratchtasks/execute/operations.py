"""Every operation there is, by the name that actions use.

Each is imported on first use: a run in a repository of Go services does not wait for Rust, nor
a compiler for what packs its output.
"""

from collections.abc import Callable, Iterator, Mapping

from .operation import Operation


def _c_build() -> Operation:
    from .c import CBuild

    return CBuild()


def _cargo_build() -> Operation:
    from .rust import CargoBuild

    return CargoBuild()


def _cargo_metadata() -> Operation:
    from .rust import CargoMetadata

    return CargoMetadata()


def _essentials() -> Operation:
    from .essentials import Essentials

    return Essentials()


def _fetch() -> Operation:
    from .sources.fetch import Fetch

    return Fetch()


def _genrule() -> Operation:
    from .genrule import Genrule

    return Genrule()


def _go_build() -> Operation:
    from .golang.build import GoBuild

    return GoBuild()


def _go_list() -> Operation:
    from .golang.list import GoList

    return GoList()


def _image() -> Operation:
    from .image import ImageOperation

    return ImageOperation()


def _prebuilt() -> Operation:
    from .prebuilt import Prebuilt

    return Prebuilt()


def _rootfs() -> Operation:
    from .rootfs import RootfsOperation

    return RootfsOperation()


class _Operations(Mapping[str, Operation]):
    """What *makers* make, each when it is asked for first."""

    def __init__(self, makers: Mapping[str, Callable[[], Operation]]) -> None:
        self._makers = makers
        self._made: dict[str, Operation] = {}

    def __getitem__(self, name: str) -> Operation:
        made = self._made.get(name)
        if made is None:  # two threads may make it twice: operations have no state
            made = self._made[name] = self._makers[name]()
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


OPERATIONS: Mapping[str, Operation] = _Operations(
    {
        "c_build": _c_build,
        "cargo_build": _cargo_build,
        "cargo_metadata": _cargo_metadata,
        "essentials": _essentials,
        "fetch": _fetch,
        "genrule": _genrule,
        "go_build": _go_build,
        "go_list": _go_list,
        "image": _image,
        "prebuilt": _prebuilt,
        "rootfs": _rootfs,
    }
)
