"""Many cases in one test, where a test for each would cost more than the cases: all are tried, each fault is named.

>>> each("abc", lambda letter: None)
>>> each((1, 2), lambda number: 1 // (number - 2))
Traceback (most recent call last):
AssertionError: 1 of 2 cases:
2: ZeroDivisionError('integer division or modulo by zero')
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

Case = TypeVar("Case")


def each(cases: Iterable[Case], check: Callable[[Case], object], name: Callable[[Case], str] = repr) -> None:
    """Assert that no case's check fails; there must be some."""
    faults, count = [], 0
    for case in cases:
        count += 1
        try:
            check(case)
        except (Exception, pytest.fail.Exception) as fault:
            said = str(fault) if isinstance(fault, AssertionError) else repr(fault)
            faults.append(f"{name(case)}: {said}")
    assert count, "there are no cases"
    # Raised, not asserted: what pytest says of a failed `assert` would cut the faults off.
    if faults:
        raise AssertionError("\n".join((f"{len(faults)} of {count} cases:", *faults)))
