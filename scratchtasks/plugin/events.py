"""What happens during a run, as a stream: the reporter and the summary read it, so can a trace.

Actions tell what they do by emitting events; nobody parses anybody's text.  Listeners are called
on the thread that emits, often a worker's, and guard their own state.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from scratchtasks.core.errors import count_of
from scratchtasks.core.frozen import dataclass

from .display import write_all

if TYPE_CHECKING:
    from scratchtasks.core.action import Action
    from scratchtasks.core.span import OnSpan, Span

Outcome = Literal["ran", "hit", "failed"]


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work as people see it; *name* tells it from all others of the run.

    One that only *is_probe* asks what another has to read.
    """

    name: str
    label: str
    mnemonic: str
    platform: str = ""
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What the run is asked for: *count* images (or tasks, by *noun*), of which *current* were
    found up to date and are not handed to doit."""

    count: int
    current: int = 0
    noun: Literal["image", "task"] = "image"


@dataclass(frozen=True, slots=True)
class Started:
    """*works* begin together, because of *reason*; more than one are a batch."""

    works: tuple[Work, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """*work* ended after *seconds*, with *size* bytes made or found, because of *reason*: of a
    failure the error, or "" where its task alone tells that."""

    work: Work
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class ImageMade:
    """The image *label* stands in its place, newly built (`ran`) or from the cache (`hit`)."""

    label: str
    digest: str
    outcome: Literal["ran", "hit"]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """*failures* are errors that planning has met, in its order, each with the work that it is of:
    those that wait for one that fails fail with it."""

    failures: tuple[tuple[Work, str], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes for the user, untouched: a compiler's stderr."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Interrupted:
    """*signal* asked the run to end.  Emitted inside the signal handler: take no lock."""

    signal: int


MANY = 20
"""Errors that are told where one ends the run; the rest are counted."""

# As text: a run with nothing to do has no spans, and imports none.
Event: TypeAlias = (
    "Planned | Foreseen | Started | Finished | ImageMade | Message | Interrupted | Span"
)
Listener = Callable[[Event], None]


class Events:
    """Hands each event to every listener.  Also a Listener of `execute.engine`.

    *began* is the start of the run by `time.monotonic()`, in seconds; None is now.
    """

    def __init__(self, began: float | None = None) -> None:
        self.began = time.monotonic() if began is None else began
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._showing: tuple[Listener, ...] = ()
        self.on_span: OnSpan | None = None
        """What tells of spans; None while no listener wants them."""
        self.exit_code = 0
        """What the run has to exit with since a signal asked it to end; 0 before."""
        self._plan: Planned | None = None
        self._foreseen: Foreseen | None = None
        self._untold: list[Event] = []

    def subscribe(
        self, listener: Listener, *, shows_messages: bool = False, wants_spans: bool = False
    ) -> Callable[[], None]:
        """Call *listener* for every event from now on; returns what ends that.

        As long as some listener *shows_messages*, Message events are theirs to print.  Spans are
        told in sessions made after one that *wants_spans* came.  What was planned is told to late
        ones too: doit makes its reporter after the loader has decided.
        """
        for early in (self._plan, self._foreseen):
            if early is not None:
                listener(early)
        with self._lock:
            self._listeners += (listener,)
            self._showing += (listener,) * shows_messages
            if wants_spans:
                self.on_span = self.emit

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one != listener)
                self._showing = tuple(one for one in self._showing if one != listener)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Tell all listeners.  Takes no lock of its own.

        In a forked child there is nobody to tell: listeners' locks may have been held at the
        fork.  Messages are printed all the same, and what `untold` hands out is kept.
        """
        is_child = os.getpid() != self._pid
        if is_child and isinstance(event, Finished | ImageMade):
            self._untold.append(event)
        if isinstance(event, Message) and (is_child or not self._showing):
            write_all(2, event.data)
        if isinstance(event, Planned):
            self._plan = event
        elif isinstance(event, Foreseen):
            self._foreseen = event
        elif isinstance(event, Interrupted):
            self.exit_code = 128 + event.signal
        for listener in () if is_child else self._listeners:
            listener(event)

    def untold(self) -> tuple[Event, ...]:
        """What ended in this forked child since it was last asked: the parent can be told."""
        untold, self._untold = tuple(self._untold), []
        return untold

    def show(self, data: bytes) -> None:
        """Print *data* on stderr, untouched and in one piece."""
        self.emit(Message(data))

    def started(self, actions: "Sequence[Action]", reason: str) -> None:
        """The engine begins *actions* in one go."""
        self.emit(Started(tuple(map(work_of, actions)), reason))

    def foreseen(self, failures: "Sequence[tuple[Action, str]]") -> None:
        """Planning has met *failures*, with the error of each."""
        self.emit(Foreseen(tuple((work_of(action), error) for action, error in failures)))

    def with_foreseen(self, error: str) -> str:
        """*error*, that of a task; if planning has met it, with all others that it has met, once,
        where no listener of ours tells them: doit's own reporters show one error a run."""
        with self._lock:
            if self._showing or self._foreseen is None:
                return error
            texts = list(dict.fromkeys(text for _, text in self._foreseen.failures))
            if error not in texts:
                return error
            self._foreseen = None
        told = list(dict.fromkeys((*texts[:MANY], error)))
        more = len(texts) - len(told)
        rest = [f"and {count_of(more, 'more error')}: --continue tells them all"] if more else []
        return "\n".join((*told, *rest))

    def finished(
        self, action: "Action", how: Outcome, seconds: float, reason: str, size: int
    ) -> None:
        """The engine is done with *action* after *seconds*; *size* bytes were made or found."""
        self.emit(Finished(work_of(action), how, seconds, reason, size))


def work_of(action: "Action") -> Work:
    """How *action* is shown."""
    platform = str(action.platform or "")
    return Work(action.name, str(action.label), action.mnemonic, platform, action.is_probe)
