"""Text that is almost YAML, made readable for a YAML scanner without moving a character.

Source: Go text/template, Actions (strings, raw strings, comments inside `{{ }}`).
"""

import re

# Each part also ends at the end of the text, so nothing is ever tried a second way.  Possessive
# quantifiers would say so, but match too little before Python 3.11.5 (gh-106052).
_ACTION = re.compile(
    r"""\{\{(?:-?\s*/\*.*?(?:\*/|\Z))?      # a comment
        (?:"(?:\\.|[^"\\\n])*"            # a string
         | `[^`]*(?:`|\Z)                 # a raw string
         | (?!\}\}).
        )*(?:\}\}|\Z)""",
    re.DOTALL | re.VERBOSE,
)
_ONLY_ACTIONS = re.compile(r"^[ \t]*\0[ \t\0]*(?=\r?$|#)", re.MULTILINE)
_FLOW = re.compile(r"\ufeff*(?:---)?\s*(?:\[|\{(?!\{))")  # JSON, or YAML that looks like it
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def softened(text: str) -> str:
    """*text* with what a YAML scanner chokes on replaced, character by character.

    Characters that YAML forbids become U+FFFD.  Lines of nothing but template actions become
    blank, other actions letters.  In JSON, which has no templates, tabs become spaces and
    escaped surrogates a harmless escape (libyaml refuses them).
    """
    text = _FORBIDDEN.sub("\ufffd", text)
    if _FLOW.match(text):
        return _SURROGATE.sub(r"\\u0020", text.replace("\t", " "))
    marked = _ACTION.sub(_marked, text)
    return _ONLY_ACTIONS.sub(lambda found: " " * len(found[0]), marked).replace("\0", "x")


def _marked(action: re.Match[str]) -> str:
    if not action[0].endswith("}}"):
        return action[0]  # never closed, so no action: hiding the rest would lose references
    return re.sub(r"[^\r\n]", "\0", action[0])
