"""Task ids."""

import os
from collections.abc import Mapping

import pytest

from taskrepo import identity
from taskrepo.errors import Invalid


def _said(error: Invalid) -> tuple[str, str, str, Mapping[str, object]]:
    return error.code, error.where, error.message, error.details


def test_bytes_become_characters() -> None:
    """Five bytes are eight characters, most significant first; further bytes do not count."""
    assert identity.from_bytes(bytes(5)) == "00000000"
    assert identity.from_bytes(b"\xff" * 7) == "zzzzzzzz"
    assert identity.from_bytes(bytes([0, 0, 0, 0, 33])) == "00000011"
    assert identity.from_bytes(bytes.fromhex("00443214c7 42")) == "01234567"


def test_random_ids_are_ids() -> None:
    """Whatever the bytes, the id is one."""
    for _ in range(200):
        made = identity.from_bytes(os.urandom(5))
        assert identity.check_id(made) == identity.typed_prefix(made) == made


@pytest.mark.parametrize(("reason", "made"), [
    ((), "werc8gmr"), (("a",), "sabr24pa"), (("a", "b"), "b6s73bgv"), (("b", "a"), "75y5e5nz"), (("é", ""), "c4sz5mpw"),
])  # fmt: skip
def test_derived_ids_are_for_ever(reason: tuple[str, ...], made: str) -> None:
    """A reason gives the id it always gave, or what a ledger knows would be made twice."""
    assert identity.derived(*reason) == made


def test_derived_ids_depend_on_every_part() -> None:
    """The same reason gives the same id; parts are kept apart."""
    assert identity.derived("a", "b") == identity.derived("a", "b")
    assert len({identity.derived(*parts) for parts in (("a", "b"), ("ab",), ("b", "a"), ("a", "", "b"))}) == 4


BAD_IDS = ["", "4k7q2m9", "4k7q2m9x0", "4K7Q2M9X", "4k7q2m9u", "4k7q2m9x\n", "../../..", "４k7q2m9x"]


@pytest.mark.parametrize("text", BAD_IDS)
def test_whole_ids_are_strict(text: str) -> None:
    """An id is exactly eight lower-case characters of the alphabet."""
    with pytest.raises(Invalid) as caught:
        identity.check_id(text, "task")
    words = f"task: {text!r} is not a task id (eight characters of 0123456789abcdefghjkmnpqrstvwxyz)"
    assert _said(caught.value) == ("bad-id", "task", words, {})


def test_the_field_of_an_id_is_id() -> None:
    """If the caller names no field, it is `id`; of a long text the refusals quote the first forty characters."""
    quoted = f"id: '{'a' * 40}' is not a task id"
    for check, rest in (
        (identity.check_id, " (eight characters of 0123456789abcdefghjkmnpqrstvwxyz)"),
        (identity.typed_prefix, ", nor the start of one (4 to 8 characters)"),
    ):
        with pytest.raises(Invalid) as caught:
            check("a" * 41)
        assert _said(caught.value) == ("bad-id", "id", quoted + rest, {})


@pytest.mark.parametrize(
    ("typed", "prefix"), [("4k7q", "4k7q"), (" 4K7Q2M9X\n", "4k7q2m9x"), ("OIL0", "0110"), ("oil0", "0110")]
)
def test_people_type_loosely(typed: str, prefix: str) -> None:
    """Case, space around, and letters that look like digits are forgiven."""
    assert identity.typed_prefix(typed) == prefix


@pytest.mark.parametrize("text", ["", "4k7", "4k7q2m9xx", "4k7u", "4k 7q", "4k7%", "a" * 10_000])
def test_too_short_and_strange_prefixes(text: str) -> None:
    """Fewer than four characters, more than eight, or others are refused, with a message of bounded length."""
    with pytest.raises(Invalid) as caught:
        identity.typed_prefix(text, "task")
    words = f"task: {text[:40]!r} is not a task id, nor the start of one (4 to 8 characters)"
    assert _said(caught.value) == ("bad-id", "task", words, {})


def test_the_fan_out() -> None:
    """A task's folder lies under its first three characters."""
    assert identity.task_path("4k7q2m9x") == "tasks/4/k/7/4k7q2m9x"
