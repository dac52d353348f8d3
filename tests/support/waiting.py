"""How tests wait: for a condition, never for a time.

* `PATIENCE` is far longer than anything takes on a machine under load; only a test that fails waits so long.
* No test asserts that something was quick: that is measured by `tools/bench`.

>>> until([1].pop)
"""

import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Final

PATIENCE: Final = 120.0
"""Seconds."""


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def over(*threads: threading.Thread | BaseProcess) -> None:
    """Wait for threads or processes to end."""
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread


def asleep(thread: threading.Thread, where: Callable[..., object]) -> bool:
    """Whether the thread is inside this function, which waits for something."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code is where.__code__:
            return True
        frame = frame.f_back
    return False
