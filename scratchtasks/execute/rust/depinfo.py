"""Dep files: how gcc, clang, rustc and cargo say which files they read (make's syntax)."""

import os
import re

_CONTINUED = re.compile(r"\\\r?\n")
# No other blank ends a name: clang escapes no tab, and neither of them what else Unicode has.
_WORD = re.compile(r"(?:\\.|[^ \r\n\\]|\\(?=$))+", re.DOTALL)
_ESCAPED = re.compile(r"\\([ \t#:\\])|\$(\$)")


def parse_c_deps(text: str) -> list[str]:
    """The prerequisites of the first rule of a dep file by gcc or clang, as they spelt them."""
    rule = _CONTINUED.sub(" ", text).partition("\n")[0]
    _, _, names = rule.partition(": ")
    return [_ESCAPED.sub(r"\1\2", word) for word in _WORD.findall(names)]


def parse_rust_deps(text: str) -> list[str]:
    """The prerequisites of the first rule of a dep file by cargo or rustc.

    They escape spaces and nothing else; a backslash elsewhere is part of the name.
    """
    rule = text.partition("\n")[0]
    _, _, names = rule.partition(": ")
    words = re.split(r"(?<!\\) ", names)
    return [word.replace("\\ ", " ") for word in words if word]


def input_path(path: str, root: str) -> str:
    """*path*, absolute, as an Input holds it: relative to *root* inside it, "" for itself.

    A symlink before a `..` makes the lexical form another place; then the real one counts.
    """
    plain = os.path.normpath(path)
    if plain != path and os.path.exists(path) and not os.path.exists(plain):
        plain = os.path.realpath(path)
    for prefix in dict.fromkeys((root, os.path.realpath(root))):
        if plain == prefix:
            return ""
        if plain.startswith(prefix.rstrip("/") + "/"):
            return plain[len(prefix.rstrip("/")) + 1 :]
    return plain
