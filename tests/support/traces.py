"""Traces as `strace` would write them, from lines that a person can read.

>>> traced("1 mkdir('/d/x') = 0")[0]
'1 1.000000 mkdir("\\\\x2f\\\\x64\\\\x2f\\\\x78") = 0'
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache

from tools.crash_calls import calls
from tools.crash_disk import Disk
from tools.crash_judge import Violation, answers, beside, judged


@cache
def may_trace() -> bool:
    """Whether this machine lets a program trace another; some containers do not."""
    return shutil.which("strace") is None or not subprocess.run(["strace", "-o", "/dev/null", "true"]).returncode


def traced(*lines: str) -> list[str]:
    """The lines: each a thread's number and a call, strings in single quotes; the time is the number of the line."""
    return [_line(number, *line.split(" ", 1)) for number, line in enumerate(lines, 1)]


def _line(number: int, thread: str, said: str) -> str:
    said = re.sub(r"'([^']*)'", lambda found: f'"{_hex(found[1])}"', said)
    said = re.sub(r"<(/[^>]*|socket[^>]*)>", lambda found: f"<{_hex(found[1])}>", said)
    return f"{thread} {number}.000000 {said}"


def _hex(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode().decode("unicode_escape").encode("latin-1"))


def disk_of(*lines: str, base: Mapping[str, bytes | None] | None = None) -> Disk:
    """The folder `/d` after these calls."""
    made = list(calls(traced(*lines)))
    disk = Disk("/d", base or {})
    disk.expect(made)
    for call in made:
        disk.apply(call)
    return disk


def violations(*lines: str, base: Mapping[str, bytes | None] | None = None) -> list[Violation]:
    """What was answered too early: on sockets, or in the file `/answers`."""
    disk = disk_of(*lines, base=base)
    given = list(answers(calls(traced(*lines)), "/answers"))
    return judged(disk, given, beside(disk, ()))[0]
