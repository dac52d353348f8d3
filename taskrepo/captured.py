"""What a program writes while it works: split into lines, kept within bounds, its reports of progress picked out.

* A line that begins `::progress 40 words` is a report of progress; every other line goes to the log and is shown.
* The log is a text file of at most `HEAD` bytes from the beginning and `TAIL` from the end, with a line between them
  that says how many bytes were left out; no control character reaches it. Without output there is no file.
* Memory is bounded by `TAIL` and the longest line, `LINE` bytes; what is longer is taken in pieces.

>>> reported("::progress 40 parser done")
(40, 'parser done')
>>> reported("progress 40") is reported("::progress 101") is None
True
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO, Final

from taskrepo.terminal import clean

HEAD: Final = 256 << 10
TAIL: Final = 256 << 10
LINE: Final = 8 << 10
LAST_WORDS: Final = 1500
"""How many characters of the end a failure's reason quotes."""
NOTE: Final = 500
_REPORT: Final = re.compile(r"::progress[ \t]+(\d{1,3})[ \t]*%?(?:[ \t:]+(.*))?")


def reported(line: str) -> tuple[int, str] | None:
    """The percent and the words that a line reports; `None` if it is no report of progress."""
    found = _REPORT.fullmatch(line.rstrip())
    if found is None or int(found[1]) > 100:
        return None
    return int(found[1]), clean(found[2] or "").strip()[:NOTE]


class Log:
    """A log file, written as it grows and closed once. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._left, self._tail, self._cut, self._closed = HEAD, b"", 0, False
        self._lock = Lock()

    def write(self, line: str) -> None:
        """Add a line, without its end. Raises `OSError`."""
        data = line.encode("utf-8", "replace") + b"\n"
        with self._lock:
            if self._closed:
                return
            if self._file is None:
                self._file = self.path.open("wb", buffering=0)
            if self._left:
                head, data = data[: self._left], data[self._left :]
                self._file.write(head)
                self._left -= len(head)
            self._tail += data
            if len(self._tail) > 2 * TAIL:  # not with each line
                self._shorten()

    def close(self) -> None:
        """Write what is kept of the end. Raises `OSError`."""
        with self._lock:
            self._closed = True
            if self._file is None:
                return
            self._shorten()
            with self._file as file:
                self._file = None
                if self._cut:
                    file.write(f"\n… {self._cut:,} bytes are left out here …\n".encode())
                file.write(self._tail)

    def last_words(self) -> str:
        """The end of what is kept, `LAST_WORDS` characters at most; nothing if there is none to be read."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4 * LAST_WORDS))
                data = file.read()
        except OSError:
            return ""
        return data.decode("utf-8", "ignore").strip()[-LAST_WORDS:]

    def _shorten(self) -> None:
        over = max(0, len(self._tail) - TAIL)
        self._cut += over
        self._tail = self._tail[over:]


class Output:
    """What arrives from a program, piece by piece; `show` is given each line, `report` each report of progress."""

    def __init__(self, log: Log, show: Callable[[str], None], report: Callable[[int, str], None]) -> None:
        self._log, self._show, self._report = log, show, report
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LINE:
            lines.append(self._rest[:LINE])
            self._rest = self._rest[LINE:]
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """Take a last line without an end, and close the log."""
        rest, self._rest = self._rest, b""
        if rest:
            self._take(rest)
        with suppress(OSError):
            self._log.close()

    def _take(self, data: bytes) -> None:
        line = clean(data.decode("utf-8", "replace").replace("\t", "    "))
        if found := reported(line):
            self._report(*found)
            return
        # A full disk, or a terminal that is gone, must not stop who reads: the program would wait for ever.
        with suppress(OSError, ValueError):
            self._log.write(line)
        with suppress(OSError, ValueError):
            self._show(line)
