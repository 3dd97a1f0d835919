"""Go's regular expressions (RE2) for Python: whether a text holds a match, as Go's regexp says.

Only that question is kept: groups capture nothing, and greediness is of no account.
Source: pkg.go.dev/regexp/syntax.
"""

import re

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f", "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~",
    "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_INVERSE = {
    "alnum": r"\x00-/:-@\[-`{-\U0010ffff", "digit": r"\x00-/:-\U0010ffff",
    "space": r"\x00-\x08\x0e-\x1f!-\U0010ffff", "word": r"\x00-/:-@\[-^`{-\U0010ffff",
}  # fmt: skip
_FOLDED = (r"{-\U0010ffff", r"{-\u012f\u0132-\u017e\u0180-\u2129\u212b-\U0010ffff")
"""In what is no word, without the letters that `(?i)` makes the same as i, s and k."""
_GROUP = re.compile(r"\(\?(?:P?<[A-Za-z0-9_]+>|([imsU]*)(?:-([imsU]+))?([:)]))")
_REPEAT = re.compile(r"[*+?]|\{([0-9]+)(?:,([0-9]*))?\}")
_HEX = re.compile(r"\\x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_SPACE = r"\t\n\f\r "
_NO_SPACE = r"\x00-\x08\x0b\x0e-\x1f!-\U0010ffff"

# All that Python would take for more than ASCII has.
_OUTSIDE = {
    "A": r"\A", "z": r"\Z", "b": r"(?a:\b)", "B": r"(?!(?a:\b))", "d": "[0-9]", "D": "[^0-9]",
    "w": "[0-9A-Za-z_]", "W": "[^0-9A-Za-z_]", "s": f"[{_SPACE}]", "S": f"[^{_SPACE}]",
}  # fmt: skip
_IN_CLASS = {
    "d": _CLASSES["digit"], "D": _INVERSE["digit"], "w": _CLASSES["word"], "W": _INVERSE["word"],
    "s": _SPACE, "S": _NO_SPACE,
}  # fmt: skip


def compile_go(pattern: str) -> "re.Pattern[str]":
    """*pattern*, to be searched for.

    Raises: ValueError with what is wrong: no expression of Go's, or with the classes `\\p{…}`,
    which Python lacks.
    """
    try:
        return re.compile(_Translator(pattern).run())
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


class _Translator:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[str] = []
        # For each open group: the flags that hold, `i` and `m`, and what `(?i)` has opened in it.
        self._groups: list[tuple[set[str], list[str]]] = [(set(), [])]

    def run(self) -> str:
        while self._at < len(self._text):
            self._atom()
        if len(self._groups) > 1:
            raise ValueError("missing closing )")
        self._close_flags()
        return "".join(self._out)

    def _atom(self) -> None:
        char = self._text[self._at]
        flags, opened = self._groups[-1]
        if char == "\\":
            self._escape()
        elif char == "[":
            self._class()
        elif char == "(":
            self._open()
            return
        elif char == ")":
            if len(self._groups) == 1:
                raise ValueError("unexpected )")
            self._close_flags()
            self._groups.pop()
            self._put(")", 1)
        elif char == "|":
            self._close_flags()
            self._put("|" + "".join(opened), 1)
            return
        elif char == "$":
            self._put(r"(?=\n|\Z)" if "m" in flags else r"\Z", 1)
        elif char == "^":
            self._put(r"(?:\A|(?<=\n))" if "m" in flags else r"\A", 1)
        elif repeat := _REPEAT.match(self._text, self._at):
            raise ValueError(f"missing argument to repetition operator: {repeat[0]}")
        else:
            self._put(re.escape(char) if char in "{}" else char, 1)
        self._repeat()

    def _put(self, text: str, consumed: int) -> None:
        self._out.append(text)
        self._at += consumed

    def _repeat(self) -> None:
        match = _REPEAT.match(self._text, self._at)
        if match is None:
            return
        least, most = int(match[1] or 0), int(match[2] or match[1] or 0)
        if max(least, most) > 1000 or least > most:
            raise ValueError(f"invalid repeat count: {match[0]}")
        last = self._out[-1]
        if last != ")":  # Python repeats no bare assertion
            self._out[-1] = f"(?:{last})"
        self._put(match[0], len(match[0]))
        if self._text[self._at : self._at + 1] == "?":
            self._put("?", 1)
        again = _REPEAT.match(self._text, self._at)
        if again is not None:
            raise ValueError(f"invalid nested repetition operator: {match[0]}{again[0]}")

    def _open(self) -> None:
        flags = self._groups[-1][0]
        if not self._text.startswith("(?", self._at):
            self._put("(?:", 1)
            self._groups.append((flags, []))
            return
        match = _GROUP.match(self._text, self._at)
        if match is None or match[0] == "(?)":
            raise ValueError(f"invalid or unsupported Perl syntax: {self._text[self._at :][:4]}")
        on, off = match[1] or "", match[2] or ""
        flags = flags.union(on).difference(off)
        plain = "".join(flag for flag in on if flag in "is")
        minus = "".join(flag for flag in off if flag in "is")
        prefix = f"(?{plain}{'-' + minus if minus else ''}:"
        self._put(prefix, len(match[0]))
        if match[3] == ")":  # for the rest of the group that is open
            opened = [*self._groups[-1][1], prefix]
            self._groups[-1] = (flags, opened)
        else:
            self._groups.append((flags, []))

    def _close_flags(self) -> None:
        self._out.append(")" * len(self._groups[-1][1]))

    def _escape(self) -> None:
        self._put(*self._escaped(is_in_class=False))

    def _escaped(self, *, is_in_class: bool) -> tuple[str, int]:
        """What the escape at hand is for Python, and its length."""
        text, at = self._text, self._at
        char = text[at + 1 : at + 2]
        if char == "Q" and not is_in_class:
            end = text.find(r"\E", at)
            literal = text[at + 2 : end if end >= 0 else len(text)]
            self._out.append(re.escape(literal[:-1]))  # a repeat is for the last one only
            return re.escape(literal[-1:]) or "(?:)", len(literal) + (4 if end >= 0 else 2)
        if match := _HEX.match(text, at):
            code = int(match[1] or match[2], 16)
            if code > 0x10FFFF:
                raise ValueError(f"invalid escape sequence: {match[0]}")
            return f"\\U{code:08x}", len(match[0])
        known = _IN_CLASS if is_in_class else _OUTSIDE
        if char and char in known:
            return self._folded(known[char]), 2
        is_known = char and char in "afnrtv"
        is_punctuation = char.isascii() and char.isprintable() and not char.isalnum() and char
        if not char or not (is_known or is_punctuation):
            raise ValueError(f"invalid or unsupported escape sequence: \\{char}")
        return (f"\\{char}" if is_known else re.escape(char)), 2

    def _folded(self, known: str) -> str:
        return known.replace(*_FOLDED) if "i" in self._groups[-1][0] else known

    def _class(self) -> None:
        start, first = self._at, len(self._out)
        self._put("[", 1)
        if self._text[self._at : self._at + 1] == "^":
            self._put("^", 1)
        is_first = True
        while True:
            char = self._text[self._at : self._at + 1]
            if not char:
                raise ValueError(f"missing closing ]: {self._text[start:]}")
            if char == "]" and not is_first:
                break
            is_first = False
            if match := _CLASS.match(self._text, self._at):
                known = _INVERSE if match[1] else _CLASSES
                if match[2] not in known:
                    raise ValueError(f"invalid or unsupported character class: {match[0]}")
                self._put(self._folded(known[match[2]]), len(match[0]))
            elif char == "\\":
                self._put(*self._escaped(is_in_class=True))
            else:
                self._put("\\" + char if char in "[]&~|^" else char, 1)
        body = "".join(self._out[first:])
        del self._out[first:]
        self._put(body + "]", 1)
