"""How the interpreter is set in a process that serves many at once, for as long as it runs.

* Whoever writes makes dozens of system calls, and after each waits until whoever computes gives the interpreter back:
  `SWITCH_EVERY` seconds, a fifth of what the interpreter waits by itself. Where that is shorter than what most answers
  take, those who read take turns in the midst of their answers, and a third as many are read.
* What the caches and the index hold lives long, and is a million objects: to look through all of them for what refers
  to itself takes a fifth of a second, in which nobody gets an answer. Most garbage is so when it is young.
* glibc gives each of many threads a heap of its own, up to eight for a processor, and what one has freed no other uses:
  after many searches of 100,000 tasks 360 MiB instead of 280. As only one thread computes, two heaps are as quick.

>>> share(); settle()                                                                   # doctest: +SKIP
"""

import ctypes
import gc
import sys
from contextlib import suppress
from typing import Final

SWITCH_EVERY: Final = 0.001
_YOUNG: Final = 2000
"""New objects after which those are looked through; each tenth time, what has outlived that as well."""
_ALL: Final = 100
"""How many times that is done before everything is looked through: under load, once in some minutes."""
_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h
_HEAPS: Final = 2


def share() -> None:
    """Have the interpreter handed over soon; whoever has set it to be sooner is left alone."""
    sys.setswitchinterval(min(SWITCH_EVERY, sys.getswitchinterval()))


def settle() -> None:
    """For a process that serves many: look for all garbage seldom, and share few heaps. Before its threads begin."""
    gc.set_threshold(_YOUNG, 10, _ALL)
    with suppress(OSError, AttributeError):  # another C library than glibc, whose mallopt(3) this is
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _HEAPS)
