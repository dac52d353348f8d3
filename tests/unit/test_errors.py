"""The two families of errors."""

import re

import pytest

from taskrepo.errors import REFUSALS, Invalid, Refused, TaskrepoError


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_says_why(code: str) -> None:
    """A code is kebab-case, and has a sentence of its own for when nothing better is known."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert str(Refused(code)) == f"{code}: {REFUSALS[code]}"


def test_refused_keeps_its_details() -> None:
    """A refusal carries its message and plain data for programs."""
    refused = Refused("wrong-state", "it is archived", state="archived")
    assert (refused.code, refused.message, refused.details) == ("wrong-state", "it is archived", {"state": "archived"})
    assert isinstance(refused, TaskrepoError)


def test_an_unknown_code_is_a_bug() -> None:
    """A refusal without message must be one that is known."""
    with pytest.raises(KeyError):
        Refused("no-such-code")


def test_invalid_says_where() -> None:
    """Malformed bytes are reported by the place, if there is one."""
    assert str(Invalid("bad-id", "task", "is empty", limit=8)) == "bad-id: task: is empty"
    assert str(Invalid("bad-id", "", "is empty")) == "bad-id: is empty"
    assert Invalid("bad-id", "task", "x").where == "task"
    assert Invalid("bad-id", "task", "x", limit=8).details == {"limit": 8}


def test_the_codes_cannot_be_changed() -> None:
    """The list of refusals is read-only."""
    with pytest.raises(TypeError):
        REFUSALS["x"] = "y"  # type: ignore[index]
