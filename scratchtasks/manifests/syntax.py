"""Whether a manifest is YAML at all: who reads it next would refuse it, with places of the output.

What has templates is YAML only once they are filled in, and is left to Helm.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ConfigError, ConfigErrors

from .templates import softened

if TYPE_CHECKING:
    from yaml import MarkedYAMLError


def check_syntax(texts: Mapping[str, str]) -> None:
    """See to it that *texts*, manifests by the name of their file, can be read.

    Raises: ConfigErrors with one place of each that cannot.
    """
    faults = [syntax_fault(text, origin) for origin, text in texts.items()]
    if errors := tuple(fault for fault in faults if fault is not None):
        raise ConfigErrors(errors)


def syntax_fault(text: str, origin: str) -> ConfigError | None:
    """The first place of *text*, the manifest *origin*, where it is neither YAML nor JSON; None
    where it is, or has templates.

    Nothing is constructed; tags, anchors and keys are not looked at.
    """
    if "{{" in text:
        return None
    if _fault(text) is None or _is_json(text):
        return None
    error = _fault(softened(text.replace("\ufeff", "")))  # they are there where files were joined
    if error is None:
        return None
    mark = error.problem_mark or error.context_mark
    what = f"not YAML: {error.problem or error.context}"
    where = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
    return ConfigError(where, what)


def _fault(text: str) -> "MarkedYAMLError | None":
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for _ in yaml.parse(text, Loader=loader):
            pass
    except yaml.MarkedYAMLError as error:
        return error
    except (yaml.YAMLError, UnicodeError):
        pass  # characters that YAML forbids: whoever reads it says so, or takes them
    return None


def _is_json(text: str) -> bool:
    """Whether *text* is one JSON document after the other, which kubectl reads."""
    decoder = json.JSONDecoder()
    rest = text.removeprefix("\ufeff").strip()
    try:
        while rest:
            _, end = decoder.raw_decode(rest)
            rest = rest[end:].lstrip()
    except (ValueError, RecursionError):
        return False
    return True
