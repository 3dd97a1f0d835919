"""The live display on a real pseudo-terminal, seen through the eyes of a small terminal."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.errors import printable
from scratchtasks.plugin.display import Display, cells, clip, duration, write_all

_TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


class Terminal:
    """A pseudo-terminal that keeps what it shows; wraps lines, knows the few codes we send."""

    def __init__(self, columns: int = 60, rows: int = 12) -> None:
        self.reader, self.fd = pty.openpty()
        self.columns = columns
        self.resize(columns, rows)
        self.raw = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def resize(self, columns: int, rows: int) -> None:
        self.columns = columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self.reader, 65536)
            except OSError:
                return
            self.raw += chunk

    def settle(self, text: str = "") -> None:
        """Wait until *text* was sent (or a frame's time has passed)."""
        end = time.monotonic() + 5
        while text and text not in self.raw.decode():
            assert time.monotonic() < end, f"{text!r} did not appear"
            time.sleep(0.01)
        time.sleep(0.05 if text else 0.25)

    def close(self) -> None:
        os.close(self.fd)
        self._thread.join()
        os.close(self.reader)

    def screen(self) -> list[str]:
        """All lines, scrolled ones too, without trailing empty ones."""
        lines, row, column = [""], 0, 0
        for token in _TOKEN.finditer(self.raw.decode()):
            text = token[0]
            if text == "\r":
                column = 0
            elif text == "\n":
                row += 1
            elif token[2] == "A":
                row -= int(token[1] or 1)
            elif token[2] == "J":
                lines = [*lines[:row], lines[row][:column]]
            elif token[2] is None:
                for character in text:
                    if column == self.columns:
                        row, column = row + 1, 0
                    lines += [""] * (row + 1 - len(lines))
                    line = lines[row].ljust(column)
                    lines[row] = line[:column] + character + line[column + 1 :]
                    column += 1
            lines += [""] * (row + 1 - len(lines))
        while lines and not lines[-1].strip():
            lines.pop()
        return lines


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal()
    yield one
    one.close()


def _timeless(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\d s$", "N s", line) for line in lines]


def test_running_lines_and_a_footer(terminal: Terminal) -> None:
    display = Display(terminal.fd, is_live=True)
    display.begin("a", "//services/api:binary  GoCompile (linux/amd64)")
    display.begin("b", "//services/web:binary  GoCompile (linux/amd64)")
    display.footer("12/40 done, 9 from cache")
    terminal.settle("12/40")
    assert _timeless(terminal.screen()) == [
        "//services/api:binary  GoCompile (linux/amd64)  N s",
        "//services/web:binary  GoCompile (linux/amd64)  N s",
        "12/40 done, 9 from cache",
    ]
    display.end("a")
    terminal.settle()
    assert len(terminal.screen()) == 2
    display.end("b")
    terminal.settle()
    assert terminal.screen() == []
    display.close()


def test_messages_are_whole_and_above(terminal: Terminal) -> None:
    display = Display(terminal.fd, is_live=True)
    display.begin("a", "compiling")
    display.footer("0/1 done")
    terminal.settle("compiling")
    display.show(b"main.go:3: unused \xc3\xa9\nmain.go:4: no newline")
    display.show(b"next\n")
    display.print("a line\n", lambda text: write_all(terminal.fd, text.encode()))
    terminal.settle()
    said = ["main.go:3: unused é", "main.go:4: no newline", "next", "a line"]
    assert _timeless(terminal.screen()) == [*said, "compiling  N s", "0/1 done"]
    display.close()
    time.sleep(0.05)
    assert terminal.screen() == said


def test_half_a_line_is_not_drawn_upon(terminal: Terminal) -> None:
    display = Display(terminal.fd, is_live=True)
    display.begin("a", "compiling")
    terminal.settle("compiling")

    def write(text: str) -> None:
        write_all(terminal.fd, text.encode())

    display.print("first half, ", write)
    terminal.settle()
    display.print("second half\n", write)
    display.close()
    time.sleep(0.05)
    assert terminal.screen() == ["first half, second half"]


def test_a_pause_leaves_the_terminal_to_others(terminal: Terminal) -> None:
    display = Display(terminal.fd, is_live=True)
    display.begin("a", "compiling")
    terminal.settle("compiling")
    display.pause("user")
    write_all(terminal.fd, b"untouched\n")
    terminal.settle()
    assert terminal.screen() == ["untouched"]
    display.resume("user")
    terminal.settle()
    assert _timeless(terminal.screen()) == ["untouched", "compiling  N s"]
    display.close()


def test_more_lines_than_rows_and_narrow_columns(terminal: Terminal) -> None:
    terminal.resize(24, 6)
    display = Display(terminal.fd, is_live=True)
    for number in range(10):
        display.begin(str(number), f"//services/number{number}:binary")
        time.sleep(0.002)
    display.footer("0/10 done and much more than fits")
    terminal.settle("0/10")
    assert _timeless(terminal.screen()) == [
        "//services/numb…  N s",
        "//services/numb…  N s",
        "//services/numb…  N s",
        "and 7 more",
        "0/10 done and much mor…",
    ]
    display.close()


def test_a_terminal_that_narrows_is_cleared_all_the_same(terminal: Terminal) -> None:
    display = Display(terminal.fd, is_live=True)
    display.begin("a", "x" * 50)
    terminal.settle("xxx")
    display.footer("0/1 done")
    terminal.settle("0/1")
    terminal.resize(20, 12)  # the 57 cells on the screen take three rows now
    display.close()
    time.sleep(0.05)
    assert terminal.raw.endswith(b"0/1 done\r\x1b[3A\x1b[J")


def test_at_most_ten_frames_a_second(terminal: Terminal) -> None:
    display = Display(terminal.fd, is_live=True)
    began = time.monotonic()
    while time.monotonic() - began < 1:
        display.begin("a", "busy")
        display.footer(f"{time.monotonic()}")
        time.sleep(0.001)
    display.close()
    assert 3 <= terminal.raw.count(b"busy") <= 10


def test_nothing_but_the_text_where_it_is_not_live() -> None:
    reader, writer = os.pipe()
    display = Display(writer, is_live=False)
    display.begin("a", "compiling")
    display.footer("0/1 done")
    time.sleep(0.15)
    display.show(b"no newline\xff")
    display.close()
    os.close(writer)
    assert os.read(reader, 1000) == b"no newline\xff"
    os.close(reader)


def test_messages_of_many_threads_stay_whole() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    display = Display(writer, is_live=False)
    texts = [bytes([97 + number]) * 100_000 + b"\n" for number in range(8)]
    threads = [threading.Thread(target=display.show, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    found = b""
    while len(found) < 8 * 100_001:
        found += os.read(reader, 1 << 20)
    for thread in threads:
        thread.join()
    assert sorted(found.splitlines(keepends=True)) == texts
    os.close(reader)
    os.close(writer)


def test_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Display(writer, is_live=False).show(b"lost\n")
    os.close(writer)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (1.239, "1.24 s"),
        (59.99, "59.99 s"),
        (59.999, "1 min 00 s"),
        (61.4, "1 min 01 s"),
        (3725, "62 min 05 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_colours_only_when_asked() -> None:
    assert Display(2, is_live=False, is_colored=True).paint("x", "1;31") == "\x1b[1;31mx\x1b[0m"
    assert Display(2, is_live=True).paint("x", "1;31") == "x"


def test_a_name_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\nd é 世", keep="\n") == "a?[2Jb?c\nd é 世"


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 30))
def test_clipped_text_fits(text: str, columns: int) -> None:
    text = printable(text)
    clipped = clip(text, columns)
    assert cells(clipped) <= columns
    assert clipped == text or cells(text) > columns
