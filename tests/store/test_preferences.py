"""What people keep for themselves: kept by name, bounded, their own, and never a way to break the file."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.errors import Invalid, Refused
from taskrepo.preferences import MAX_NAME, MAX_TEXT, MOST, Kept, Preferences


@pytest.fixture
def preferences(tmp_path: Path) -> Iterator[Preferences]:
    """A fresh file."""
    with Preferences(tmp_path / "private") as opened:
        yield opened


def test_what_is_kept_is_there_again(preferences: Preferences, tmp_path: Path) -> None:
    """Entries outlive the process, come by name, and a second one of a name replaces the first."""
    preferences.keep("alice", "view", "Zebra", "q=z", 1)
    preferences.keep("alice", "view", " Big   cats ", "  q=b ", 2)
    preferences.keep("alice", "view", "Zebra", "q=zz", 3)
    with Preferences(tmp_path / "private") as again:
        assert again.kept("alice", "view") == (Kept("Big cats", "q=b", 2), Kept("Zebra", "q=zz", 3))


def test_everybody_has_their_own(preferences: Preferences) -> None:
    """Neither another actor nor another kind sees or drops an entry."""
    preferences.keep("alice", "view", "Mine", "q=a", 1)
    preferences.drop("bob", "view", "Mine")
    preferences.drop("alice", "reason", "Mine")
    assert preferences.kept("bob", "view") == preferences.kept("alice", "reason") == ()
    assert [kept.name for kept in preferences.kept("alice", "view")] == ["Mine"]
    preferences.drop("alice", "view", "Mine")
    preferences.drop("alice", "view", "Mine")
    assert preferences.kept("alice", "view") == ()


@pytest.mark.parametrize(("name", "text", "field"), [
    ("", "x", "name"), ("  ", "x", "name"), ("x" * (MAX_NAME + 1), "x", "name"), ("a\0b", "x", "name"),
    ("\ud800", "x", "name"), ("x", "", "text"), ("x", " \n", "text"), ("x", "y" * (MAX_TEXT + 1), "text"),
    ("x", "\udfff", "text"),
])  # fmt: skip
def test_bad_entries_are_refused_by_field(preferences: Preferences, name: str, text: str, field: str) -> None:
    """What is empty, too long or cannot be stored is refused with its field, and nothing is kept."""
    with pytest.raises(Invalid) as caught:
        preferences.keep("alice", "reason", name, text, 1)
    assert (caught.value.code, caught.value.where) == ("invalid-field", field)
    assert preferences.kept("alice", "reason") == ()


def test_there_is_a_most(preferences: Preferences) -> None:
    """The entry after the last that fits is refused; an old one can still be replaced, and dropping makes room."""
    for n in range(MOST):
        preferences.keep("alice", "reason", f"r{n}", "x", n)
    with pytest.raises(Refused) as caught:
        preferences.keep("alice", "reason", "one more", "x", 99)
    assert caught.value.code == "too-many-kept"
    preferences.keep("alice", "reason", "r0", "y", 99)
    preferences.drop("alice", "reason", "r1")
    preferences.drop("alice", "reason", "\ud800")
    preferences.keep("alice", "reason", "one more", "x", 99)
    assert len(preferences.kept("alice", "reason")) == MOST


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database, or of another version, is named, and not touched."""
    path = tmp_path / "preferences.db"
    path.write_bytes(b"not a database, surely" * 100)
    with pytest.raises(Invalid) as caught:
        Preferences(tmp_path)
    assert caught.value.code == "bad-preferences"
    assert path.read_bytes().startswith(b"not a database")


def test_the_file_is_private(preferences: Preferences, tmp_path: Path) -> None:
    """Nobody else on the machine can read it."""
    assert (tmp_path / "private/preferences.db").stat().st_mode & 0o777 == 0o600


def test_many_threads_keep_at_once(preferences: Preferences) -> None:
    """Nothing is lost or doubled when several windows save at the same time."""
    threads = [
        threading.Thread(target=preferences.keep, args=("alice", "view", f"v{n % 10}", f"q={n}", n)) for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kept.name for kept in preferences.kept("alice", "view")] == [f"v{n}" for n in range(10)]
