"""The Notes of very many paths, as the bytes that a memo keeps of them.

A hundred thousand tuples of numbers take ten times as long to read and write.
"""

from array import array
from collections.abc import Iterable, Iterator

from .signature import Note, Signature

_WIDTH = 5
ABSENT: Signature = (2**64 - 1,) * _WIDTH
"""What stands for the Note None; no stat gives that, nor what stands for ()."""
_DOUBTED: Signature = (2**64 - 2,) * _WIDTH


class Notes:
    """A list of Notes; a copy of it, or of its *words*, is one of bytes."""

    def __init__(self, notes: Iterable[Note] = ()) -> None:
        self.words = array("Q")
        for note in notes:
            self.append(note)

    def __len__(self) -> int:
        return len(self.words) // _WIDTH

    def __getitem__(self, number: int) -> Note:
        words = tuple(self.words[_WIDTH * number : _WIDTH * (number + 1)])
        return None if words == ABSENT else () if words == _DOUBTED else words

    def __setitem__(self, number: int, note: Note) -> None:
        self.words[_WIDTH * number : _WIDTH * (number + 1)] = array("Q", _encoded(note))

    def __iter__(self) -> Iterator[Note]:
        return map(self.__getitem__, range(len(self)))

    def append(self, note: Note) -> None:
        """Add *note* at the end."""
        self.words.extend(_encoded(note))

    def encoded(self, first: int, last: int) -> Iterator[Signature]:
        """Those from number *first* to before *last*, as they compare with what stat says."""
        words = iter(self.words[_WIDTH * first : _WIDTH * last])
        return zip(words, words, words, words, words, strict=True)

    def copy(self) -> "Notes":
        """These, for somebody who will change them."""
        return notes_from(self.tobytes())

    def picked(self, numbers: Iterable[int]) -> "Notes":
        """Those with *numbers*, in that order."""
        found = Notes()
        for number in numbers:
            found.words.extend(self.words[_WIDTH * number : _WIDTH * (number + 1)])
        return found

    def tobytes(self) -> bytes:
        """What `notes_from` makes them of again, on a machine of this kind."""
        return self.words.tobytes()


def notes_from(data: bytes) -> Notes:
    """The Notes of which *data* are the bytes.  Raises: ValueError when they are none."""
    notes = Notes()
    notes.words.frombytes(data)
    return notes


def _encoded(note: Note) -> Signature:
    if note is None:
        return ABSENT
    # A time before 1970 has no word here; then the file is read each time.
    return note if note and min(note) >= 0 else _DOUBTED
