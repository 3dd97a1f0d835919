"""The head of a Go file: all of it that `go list` reads.

Go reads a file up to its first declaration that is no import, and beyond only to look for
`//go:embed`.  Source: go/build, readGoInfo in read.go.
"""

import re

_TOKEN = re.compile(
    rb"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`"
    rb"|(?P<declaration>^(?:func|type|var|const)(?=[\s(/]))"
    rb"|(?P<unclear>/\*|[`\"'])",
    re.DOTALL | re.MULTILINE,
)


def go_head(source: bytes) -> bytes:
    """*source* up to a declaration that begins a line, such as `func`; or all of it, where that
    is not clear, or the head does not rule out that files are embedded.

    Sources with equal heads have the same package name, imports, constraints and directives.
    """
    for token in _TOKEN.finditer(source):
        if token.lastgroup == "unclear":
            return source
        if token.lastgroup == "declaration":
            head = source[: token.start()]
            # The import of "embed" may be spelt with escapes.
            return source if b"embed" in head or b"\\" in head else head
    return source
