"""Every operation there is, by the name that actions use."""

from collections.abc import Mapping

from .c import CBuild
from .essentials import Essentials
from .genrule import Genrule
from .golang import GoBuild, GoList
from .image import ImageOperation
from .operation import Operation
from .prebuilt import Prebuilt
from .rootfs import RootfsOperation
from .rust import CargoBuild, CargoMetadata
from .sources.fetch import Fetch

OPERATIONS: Mapping[str, Operation] = {
    "c_build": CBuild(),
    "cargo_build": CargoBuild(),
    "cargo_metadata": CargoMetadata(),
    "essentials": Essentials(),
    "fetch": Fetch(),
    "genrule": Genrule(),
    "go_build": GoBuild(),
    "go_list": GoList(),
    "image": ImageOperation(),
    "prebuilt": Prebuilt(),
    "rootfs": RootfsOperation(),
}
