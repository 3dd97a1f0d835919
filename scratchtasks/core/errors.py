"""Every error a user can cause, as one tree.

    ScratchError                `where: what (wanted X, got Y)`, then a hint
    ├── ConfigError             service.toml, scratch.toml, scratch.lock, calls in dodo.py
    ├── GraphError              unknown or duplicate labels, cycles
    ├── ToolchainMissing        no compiler, or not the one that was asked for
    ├── ActionFailed            a compiler or generator said no
    ├── NotStatic               the ship gate refused a binary
    ├── StageError              an essential or file cannot be staged
    │   └── NotInStore          it would have to be fetched, and --offline forbids that
    ├── StoreError              a blob is missing or damaged, the disk is full
    └── SinkError               Docker or a registry refused

Anything else that is raised is a bug in scratchtasks and may show a traceback.
"""

_MANY = 20
_SHOWN = 10


class ScratchError(Exception):
    """A user's mistake or the outside world's failure; printed without a traceback.

    *where* is a file with its TOML path, a label or a request; *what* is the fault in lower
    case without a full stop; *hint* is what to do, and is optional.  As text it is fit for a
    terminal, whatever names it tells of.
    """

    def __init__(self, where: str, what: str, hint: str = "") -> None:
        super().__init__(where, what, hint)
        self.where = where
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return printable(f"{text}\n    hint: {self.hint}" if self.hint else text, keep="\n\t")


class ConfigError(ScratchError):
    """A fault in a configuration file or in a call from dodo.py."""


class ConfigErrors(ConfigError):
    """All faults of all files at once, in file order."""

    def __init__(self, errors: "tuple[ConfigError, ...]") -> None:
        super().__init__("", "\n".join(str(error) for error in errors))
        self.errors = errors


class GraphError(ScratchError):
    """A label that does not exist, exists twice, or depends on itself."""


class ToolchainMissing(ScratchError):
    """A toolchain is absent or unusable; the hint names every way to get it."""


class ActionFailed(ScratchError):
    """A subprocess of an action ended with an error; its own output was already shown."""


class NotStatic(ScratchError):
    """A binary that would not start in an empty root file system."""


class StageError(ScratchError):
    """A file, certificate, zone, account or host entry that cannot be staged."""


class NotInStore(StageError):
    """Something that would have to be fetched, while nothing may be; *where* says what."""


class StoreError(ScratchError):
    """The content store or action cache cannot do what was asked."""


class SinkError(ScratchError):
    """Docker or a registry refused or failed."""


def did_you_mean(word: str, known: "tuple[str, ...] | list[str]") -> str:
    """A hint that names the known word nearest to *word*, or lists them when none is near: in
    full where a table has so many keys, the first few where a workspace has so many names."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    names = sorted(known)
    more = len(names) - _SHOWN if len(names) > _MANY else 0
    shown = ", ".join(names[:_SHOWN] if more else names)
    return f"known: {shown}" + (f" and {more} more" if more else "") if names else ""


def count_of(number: int, noun: str, plural: str = "") -> str:
    """`1 blob`, `2 blobs`; *plural* where that is not *noun* with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def printable(text: str, keep: str = "") -> str:
    """*text* with control characters, save those to *keep*, as `?`: a name must not steer the
    terminal."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)
