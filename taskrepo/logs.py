"""The log of a server: one line for each request and each thing worth knowing, as JSON or as text.

* A line is one line: what others sent cannot begin another one, nor reach the terminal with control characters.
* Keys, passwords, cookies, the tokens of links and the queries of addresses are struck out of every line, whoever
  wrote it. Requests are told by the template of their address, so that no name or word of a task is in them.
* Nobody waits for whoever reads the log: lines are written by a thread of their own, and if they are not taken, the
  next that is says how many were lost.

>>> struck_out("GET /login/link/QmFzZTY0?next=x from tr_4k7q2m9x_000000000000000000000000000: Basic YWJj")
'GET /login/link/… from tr_4k7q2m9x_…: Basic …'
"""

import json
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal

from taskrepo.web.observing import Seen

Format = Literal["json", "text"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json")

MOST: Final = 10_000
"""Lines that wait to be written."""
_PATIENCE: Final = 2.0  # seconds for what is left at the end
_MOST_TEXT: Final = 16_384
_STRUCK: Final = (
    (re.compile(r"\b(tr_[0-9a-z]{8}_)[0-9a-zA-Z]+"), r"\1…"),
    (re.compile(r"\b(whsec_)[0-9A-Za-z+/=_-]+"), r"\1…"),
    (re.compile(r"(?i)\b(bearer|basic)(['\"]?[ :]+['\"]?)[0-9A-Za-z+/=._~-]{3,}"), r"\1\2…"),
    (re.compile(r"(/login/link/)[^\s\"'<>]+"), r"\1…"),
    (re.compile(r"((?:__Host-)?(?:session|visit)=)[^\s;,\"']+"), r"\1…"),
    (re.compile(r"(?i)(\b(?:password|secret|token|csrf)['\"]?\s*[:=]\s*['\"]?)[^\s,;&\"']+"), r"\1…"),
    (re.compile(r"(https?://)[^\s/@\"']+@"), r"\1…@"),
    (re.compile(r"(/[^\s?\"']*\?)[^\s\"']+"), r"\1…"),
)  # fmt: skip
_access: Final = logging.getLogger("taskrepo.access")


def struck_out(text: str) -> str:
    """The text without what may be a secret."""
    for pattern, kept in _STRUCK:
        text = pattern.sub(kept, text)
    return text


def visible(text: str) -> str:
    """The text on one line: what is not printable is written as an escape.

    >>> visible("a\\n\\x1b[31mb\\u202e")
    'a\\\\n\\\\x1b[31mb\\\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class JsonLines(logging.Formatter):
    """A record as a JSON object on one line; everything beyond ASCII is escaped in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        data: dict[str, Any] = {
            "time": _time(record), "level": record.levelname.lower(), "logger": record.name,
            "message": struck_out(record.getMessage())[:_MOST_TEXT], **fields_of(record),
        }  # fmt: skip
        if record.exc_info:
            data["traceback"] = struck_out(self.formatException(record.exc_info))[-_MOST_TEXT:]
        return json.dumps(data, default=str)


class TextLines(logging.Formatter):
    """A record as a line for people; the lines of a traceback follow, each behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = [f"{name}={value}" for name, value in fields_of(record).items() if value not in ("", None)]
        message = struck_out(record.getMessage())[:_MOST_TEXT]
        line = visible(" ".join((_time(record), record.levelname, record.name, message, *told)))
        if record.exc_info:
            trace = struck_out(self.formatException(record.exc_info))[-_MOST_TEXT:]
            line += "".join(f"\n  | {visible(each)}" for each in trace.splitlines())
        return line


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """What a record says beside its message."""
    found: Mapping[str, Any] = getattr(record, "fields", {})
    return {name: struck_out(value) if isinstance(value, str) else value for name, value in found.items()}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def access(seen: Seen) -> None:
    """Log a request: an observer of `web.observing`."""
    level = logging.ERROR if seen.status >= 500 and seen.code == "internal" else logging.INFO
    told = {
        "request": seen.ident, "actor": seen.actor, "address": seen.address, "method": seen.method,
        "route": seen.route, "status": seen.status, "ms": round(seen.seconds * 1000, 1), "bytes": seen.sent,
        "code": seen.code,
    }  # fmt: skip
    _access.log(level, "request", extra={"fields": told})


# ── where they go ───────────────────────────────────────────────────────────────────────────────────────────────────


class Sink(logging.Handler):
    """Writes lines to a file by a thread of its own, `MOST` of which may wait. `close` writes what is left."""

    def __init__(self, file: int) -> None:
        """`file` is a descriptor: Python's own files have locks, which a writer that is stuck would keep for ever."""
        super().__init__()
        self._file = file
        self._records: deque[logging.LogRecord] = deque()
        self._changed = threading.Condition()
        self._lost = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have it written, if there is room."""
        with self._changed:
            if len(self._records) >= MOST:
                self._lost += 1
            else:
                self._records.append(record)
                self._changed.notify()

    def close(self) -> None:
        """Write what is left, unless nobody takes it for a while."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_PATIENCE)
        super().close()

    def _run(self) -> None:
        while records := self._next():
            lines = "".join(f"{self._line(record)}\n" for record in records).encode("utf-8", "backslashreplace")
            with suppress(OSError):  # nobody reads it any more, which is no reason to serve nobody
                while lines:
                    lines = lines[os.write(self._file, lines) :]

    def _next(self) -> list[logging.LogRecord]:
        with self._changed:
            self._changed.wait_for(lambda: self._records or self._closing)
            taken = list(self._records)
            self._records.clear()
            lost, self._lost = self._lost, 0
        if lost:
            words = "%d lines of the log were lost, because nobody took them"
            taken.append(logging.LogRecord("taskrepo.logs", logging.WARNING, __file__, 0, words, (lost,), None))
        return taken

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # arguments that do not fit their message
            return f"{_time(record)} ERROR {record.name} a line of the log cannot be written: {type(error).__name__}"


@contextmanager
def logging_to(file: int = 2, format: Format = "text") -> Iterator[None]:
    """Within the block everything that is logged, and threads that die, is written to the file (standard error)."""
    sink, root, own = Sink(file), logging.getLogger(), logging.getLogger("taskrepo")
    sink.setFormatter(JsonLines() if format == "json" else TextLines())
    level, hook = own.level, threading.excepthook
    root.addHandler(sink)
    own.setLevel(logging.INFO)
    threading.excepthook = _died
    try:
        yield
    finally:
        threading.excepthook = hook
        own.setLevel(level)
        root.removeHandler(sink)
        sink.close()


def _died(told: Any) -> None:
    if told.exc_type is not SystemExit:
        name = told.thread.name if told.thread else "?"
        error = told.exc_type, told.exc_value, told.exc_traceback
        logging.getLogger("taskrepo.logs").error("the thread %s has died", name, exc_info=error)


def chosen(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The format that an option names, else `TASKREPO_LOG`, else text; whoever reads it checks it."""
    return given or environ.get("TASKREPO_LOG") or "text"

