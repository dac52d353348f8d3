"""When a message is tried again, and when a receiver is given up."""

from taskrepo.dispatch import MAX_PAUSE, Schedule, retry_after


def test_pauses_double_up_to_a_cap_and_obey_the_receiver() -> None:
    """They grow from the first to the longest, with chance around them; what a receiver asks for is bounded too."""
    schedule = Schedule(first=2, longest=3600)
    middle = [schedule.pause(failures, 0.5) for failures in range(1, 14)]
    assert middle == [min(3600.0, 2.0**n) for n in range(1, 14)]
    assert (schedule.pause(3, 0.0), schedule.pause(3, 1.0)) == (6.0, 10.0)
    assert schedule.pause(5000, 1.0) == 4500.0
    assert schedule.pause(1, 0.5, asked=1) == 2.0
    assert schedule.pause(1, 0.5, asked=10**9) == MAX_PAUSE


def test_giving_up_needs_both_time_and_attempts() -> None:
    """A long failure with few attempts, as after days of our own downtime, is no reason yet."""
    schedule = Schedule(give_up=100, attempts=5)
    cases = ((5, 100), (50, 99), (4, 1000))
    assert [schedule.is_over(*case) for case in cases] == [True, False, False]


def test_retry_after_is_a_number_or_a_date() -> None:
    """Anything else is as if it were not there."""
    assert retry_after(" 7 ", 0) == 7
    assert retry_after("Thu, 01 Jan 1970 00:00:10 GMT", 60) == 0
    assert [retry_after(text, 0) for text in ("", "-1", "1.5", "tomorrow", "9" * 40, "\x1c0", "7\u2003")] == [None] * 7
