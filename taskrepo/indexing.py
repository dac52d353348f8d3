"""The listing index kept by a process of its own, for as long as that takes much of an exchange's time.

* Writing texts into an index is computing: where many write, it would keep the interpreter from all who read and write.
* The process is the exchange's own, asked over a pipe and ended with it. One that dies, or says nothing for a long
  time, is ended, and the exchange keeps the index itself.

>>> indexer.begin()                                                                     # doctest: +SKIP
>>> indexer.keep() and indexer.bring_up("4f2c…", False, print, lambda: False)           # doctest: +SKIP
"""

import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from taskrepo import beside
from taskrepo.index import Index
from taskrepo.keeping import Heard, Stop

log = logging.getLogger(__name__)

SILENCE: Final = 30.0
"""Seconds without a word after which it is taken for dead; while an index is built it says something all the time."""
_AGAIN: Final = 60.0
_LAST: Final = 2.0
_LOOK: Final = 0.2


class Gone(Exception):
    """The process has ended, or says nothing any more."""


class Indexer:
    """The process that keeps an index, if there is one. One thread at a time; `keeps` may be read by any."""

    def __init__(self, index: Index, data: Path | None, stop: Stop) -> None:
        """`data` is the exchange's folder; without one there never is a process. Nothing is waited for after `stop`."""
        self._index, self._data, self._stop = index, data, stop
        self._process: subprocess.Popen[bytes] | None = None
        self._told: beside.Lines | None = None
        self._ready = False
        self._not_before = 0.0
        self.keeps = False
        """Whether it is the index's writer."""

    def begin(self) -> None:
        """Begin a process, unless there is one or was one that failed a short while ago. It keeps nothing yet."""
        if self._process is None and self._data is not None and time.monotonic() >= self._not_before:
            try:
                self._process = beside.begin("indexer", [str(self._data)], subprocess.PIPE, subprocess.PIPE)
                assert self._process.stdout is not None
                self._told = beside.Lines(self._process.stdout)
            except OSError:
                log.exception("no process could be begun to keep the listing index")
                self._end(_AGAIN)

    def keep(self) -> bool:
        """Let it take over, if it is there and ready to; whether it keeps the index then. Never waits for its start."""
        if self._process is None or self.keeps or not self._can_talk():
            return self.keeps
        self._index.hand_over()
        try:
            self._asked("keep", lambda done: None, self._stop)
            self.keeps = True
        except (Gone, ChildProcessError) as error:
            log.warning("the listing index is kept by the exchange itself: %s", error)
            self._end(_AGAIN)
        return self.keeps

    def bring_up(self, commit: str, anew: bool, heard: Heard, stop: Stop) -> None:
        """As `keeping.Keeping` has it. Raises `ChildProcessError` for what went wrong there, and `Gone`."""
        stamp = self._asked(f"{'anew' if anew else 'up'} {commit}", heard, stop)
        self._index.look()
        if self._index.stamp != stamp:
            self._end(_AGAIN)
            raise Gone("the listing index cannot be read as it was written")

    def join(self, at_rest: bool) -> None:
        """As `keeping.Keeping` has it. Raises `ChildProcessError` and `Gone`."""
        self._asked(f"join {'rest' if at_rest else 'busy'}", lambda done: None, self._stop)
        self._index.look()

    def close(self) -> None:
        """End the process; whoever calls may keep the index then."""
        self._end(0.0)

    def _can_talk(self) -> bool:
        """Whether it has said that it is ready. One that could not start is ended."""
        try:
            self._ready = self._ready or next(self._lines(0.0), "") == "ready"
        except Gone:
            self._end(_AGAIN)
        return self._ready

    def _asked(self, words: str, heard: Heard, stop: Stop) -> str:
        """The answer. Raises `ChildProcessError` for a failure that it tells of, and `Gone`."""
        try:
            self._send(words)
            for line in self._lines(SILENCE, stop):
                kind, _, told = line.partition(" ")
                if kind == "built":
                    heard(int(told))
                elif kind == "on":
                    heard(None)
                elif kind == "failed":
                    raise ChildProcessError(told)
                else:
                    return told
            raise Gone("the exchange is closing" if stop() else "the process that keeps the listing index is silent")
        except ChildProcessError:
            raise
        except BaseException:  # what it says from here on would be taken for the next answer
            self._end(_AGAIN)
            raise

    def _send(self, words: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), f"{words}\n".encode())
        except OSError as error:
            raise Gone("the process that keeps the listing index has ended") from error

    def _lines(self, patience: float, stop: Stop = lambda: False) -> Iterator[str]:
        """What it says, until it says nothing for so long, or `stop`. Raises `Gone` when it has ended."""
        assert self._told is not None
        until = time.monotonic() + patience
        while True:
            left = until - time.monotonic()
            lines = self._told.heard(min(left, _LOOK))
            if lines is None:
                raise Gone("the process that keeps the listing index has ended")
            for line in lines:
                yield line.decode("utf-8", "replace")
                until = time.monotonic() + patience
            if not lines and (left <= 0 or stop()):
                return

    def _end(self, pause: float) -> None:
        self.keeps = self._ready = False
        self._index.take_back()
        self._told = None
        self._not_before = time.monotonic() + pause
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):  # by itself it ends what it has begun, too
                self._process.wait(_LAST)
            beside.end(self._process)
            self._process.stdout.close()
            self._process = None
