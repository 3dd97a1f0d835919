"""YAML text to plain values that remember how they were written; one ConfigError for bad syntax.

Nothing is constructed from tags, and what aliases could blow up is bounded.
"""

from typing import TYPE_CHECKING

from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.frozen import dataclass

if TYPE_CHECKING:
    from yaml.nodes import MappingNode, Node

_MOST = 100_000
_DEEPEST = 100
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Written:
    """A scalar that is no string: its *value*, and its *text* for where a string is wanted."""

    value: object
    text: str


def unwritten(value: object) -> object:
    """*value* without its text, if it is Written."""
    return value.value if isinstance(value, Written) else value


def parse_yaml(text: str, origin: str) -> object:
    """The one document in *text*: dicts, lists, strings and Written; a key without value is none.

    Raises: ConfigErrors of one for what is not YAML, or more than one document.
    """
    import yaml

    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        if len(nodes) > 1:
            raise _fault(origin, f"wanted one document, got {len(nodes)}")
        if not nodes:
            return {}
        return _Reader(origin).value(nodes[0], 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{origin}: line {mark.line + 1}, column {mark.column + 1}" if mark else origin
        raise _fault(where, f"not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _fault(origin, f"not YAML: {what.splitlines()[0]}") from None


def _fault(where: str, what: str) -> ConfigErrors:
    return ConfigErrors((ConfigError(where, what),))


def _place(origin: str, node: "Node") -> str:
    mark = node.start_mark
    return f"{origin}: line {mark.line + 1}, column {mark.column + 1}"


class _Reader:
    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._count = 0

    def value(self, node: "Node", depth: int) -> object:
        from yaml.nodes import MappingNode, ScalarNode, SequenceNode

        self._count += 1
        if self._count > _MOST or depth > _DEEPEST:
            raise _fault(self._origin, "too large, or nested too deeply")
        if isinstance(node, MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        assert isinstance(node, ScalarNode)
        return _scalar(node.tag.rpartition(":")[2], node.value)

    def _mapping(self, node: "MappingNode", depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        merged: dict[str, object] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node.value, str) else "?"
            if key in seen:
                raise _fault(_place(self._origin, key_node), f"the key {key!r} is there twice")
            seen.add(key)
            value = self.value(value_node, depth + 1)
            if key_node.tag.endswith(":merge"):  # `<<: *other`, or several
                for other in value if isinstance(value, list) else [value]:
                    if not isinstance(other, dict):
                        raise _fault(_place(self._origin, key_node), "not YAML: << wants a mapping")
                    merged = {**other, **merged}
            elif unwritten(value) is not None:
                found[key] = value
        return {**merged, **found}


def _scalar(kind: str, text: str) -> object:
    plain = text.replace("_", "")
    if kind == "bool" and text.lower() in _BOOLEANS:
        return Written(_BOOLEANS[text.lower()], text)
    if kind == "null":
        return Written(None, text)
    try:
        if kind == "int" and ":" not in plain:
            is_old_octal = plain.lstrip("+-").startswith("0") and plain.lstrip("+-").isdigit()
            return Written(int(plain, 8 if is_old_octal else 0), text)
        if kind == "float" and ":" not in plain:
            return Written(float(plain), text)
    except ValueError:
        pass
    return text
