"""What a command shows: JSON for programs, sentences and tables for people.

* Text of tasks is shown without control, format or direction characters: it cannot steer the terminal.
* On a pipe, with `NO_COLOR` or `TERM=dumb` there is no escape sequence at all, and tables are tab-separated lines.
* An answer goes to standard output, everything else (errors, progress, hints) to standard error.

>>> clean("red \\x1b[31malert\\x07")
'red [31malert'
"""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

Json = dict[str, Any]
Progress = Callable[[int, int], None]

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings; `empty` is said when there is none."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to: `data` for `--json`, `parts` (paragraphs and tables) for people, and the exit code."""

    data: Any
    parts: tuple[str | Table, ...] = ()
    code: int = 0


def clean(text: str, *, lines: bool = False) -> str:
    """`text` without characters that draw nothing or steer the terminal; `lines` keeps newlines, and tabs as spaces."""
    if lines:
        return "\n".join(clean(line.replace("\t", "    ")) for line in text.replace("\r\n", "\n").split("\n"))
    return "".join(c for c in text if c in _JOINERS or unicodedata.category(c) not in _HIDDEN)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command writes. `json` says that its standard output is read by a program."""

    json: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def show(self, answer: Answer) -> None:
        """Write an answer."""
        if self.json and answer.data is not None:
            # Pure ASCII, so that no control character of a task's text reaches a terminal either.
            self.out.write(json.dumps(answer.data, indent=2) + "\n")
        for part in () if self.json else answer.parts:
            self._show_part(part)
        self.out.flush()

    def say(self, sentence: str) -> None:
        """Write a sentence about what is going on, for people."""
        self.err.write(clean(sentence, lines=True) + "\n")
        self.err.flush()

    def styled(self, stream: TextIO) -> bool:
        """Whether a stream takes colours and moving parts."""
        plain = self.environment.get("NO_COLOR") or self.environment.get("TERM") == "dumb"
        return stream.isatty() and not plain

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A bar on standard error, moved by calls with (done, of how many); silent where it could not move."""
        if self.json or not self.styled(self.err):
            yield lambda done, total: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(file=self.err, markup=False), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)

    def _show_part(self, part: str | Table) -> None:
        if isinstance(part, str):
            self.out.write(clean(part, lines=True) + "\n")
        elif not part.rows:
            self.out.write(f"{part.empty}\n" if part.empty else "")
        elif self.styled(self.out):
            self._show_table(part)
        else:
            rows = (part.columns, *part.rows)
            self.out.writelines("\t".join(clean(cell) for cell in row) + "\n" for row in rows)

    def _show_table(self, table: Table) -> None:
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(box=None, pad_edge=False, header_style="bold")
        for column in table.columns:
            drawn.add_column(column, overflow="fold")
        for row in table.rows:
            drawn.add_row(*(Text(clean(cell)) for cell in row))
        Console(file=self.out, markup=False, emoji=False, highlight=False).print(drawn)


def problem(code: str, detail: str, status: int, title: str, extra: Mapping[str, Any] | None = None) -> Json:
    """An RFC 9457 problem as plain data; `extra` cannot replace the standard members."""
    members = {"type": f"urn:taskrepo:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return {**(extra or {}), **members}
