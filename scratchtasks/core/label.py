"""Labels: `//services/api:image`, Bazel's way to name a target or a file of the workspace."""

from .errors import GraphError
from .frozen import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """An absolute name: *package* is a folder relative to the workspace root, "" for the root."""

    package: str
    name: str

    def __str__(self) -> str:
        return f"//{self.package}:{self.name}"


def parse_label(text: str, where: str = "label") -> Label:
    """*text* of the form `//folder:name` as a Label.

    Raises: GraphError when it is not absolute, has no name, or leaves the workspace.
    """
    package, colon, name = text.removeprefix("//").rpartition(":")
    if not text.startswith("//") or not colon or not name:
        raise GraphError(where, f'wanted "//folder:name", got {text!r}')
    parts = package.split("/") if package else []
    if any(part in ("", ".", "..") for part in parts + name.split("/")):
        raise GraphError(where, f"wanted a label inside the workspace, got {text!r}")
    return Label(package, name)
