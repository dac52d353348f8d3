"""Model and plain data."""

import hashlib
import json
from typing import Any, Final

import pytest

from taskrepo import plain
from taskrepo.errors import Invalid
from taskrepo.model import (
    Actor,
    Capabilities,
    Criterion,
    Deliverable,
    Execution,
    File,
    Lease,
    Manifest,
    Policy,
    PublicKey,
    Question,
    Review,
    Stamp,
    Submission,
    Task,
)

SETTLED_FIELDS: Final = (
    "name lease_seconds max_lease_seconds max_attempts max_claims max_submissions max_discussion self_review "
    "large_file_bytes max_file_bytes max_task_bytes max_files max_actor_bytes upload_seconds denied_suffixes "
    "denied_types"
)
FULL = Manifest(
    "t", "d\n", "agent_only", "high", "interactive", "medium", "fast",
    (Deliverable("words"), Deliverable("", "a.csv", "", True, 1, 9), Deliverable("x", "b", "text/csv", False)),
    (Criterion("good"), Criterion("better", "c1")),
    "carol", 1, 1_800_000_000, 1_700_000_000, ("a", "b"), 60, 3, "private", ("dave",), '{"type":"object"}',
    ("77777777",), "o", "s", "https://x", "c", "e-1",
)  # fmt: skip


@pytest.mark.parametrize("manifest", [Manifest("t", "d"), FULL])
def test_manifests(manifest: Manifest) -> None:
    """A manifest survives; what has its default is not written."""
    assert plain.manifest_from(plain.manifest_to(manifest)) == manifest
    assert plain.manifest_to(Manifest("t", "d")) == {"title": "t", "description": "d"}


def test_manifests_read_well() -> None:
    """Deliverables and criteria that are only words are written as words, times as text."""
    data = plain.manifest_to(FULL)
    assert data["deliverables"][0] == "words"
    assert data["deliverables"][2] == {"description": "x", "path": "b", "media_type": "text/csv", "required": False}
    assert data["result_schema"] == {"type": "object"}
    assert data["acceptance"] == ["good", {"id": "c1", "text": "better"}]
    assert data["due_at"] == "2027-01-15T08:00:00Z"


def test_titles_are_one_line() -> None:
    """Space around and within a title becomes single spaces."""
    assert plain.manifest_from({"title": "  a \t b\u00a0\n c ", "description": "d"}).title == "a b c"


def test_a_package_keeps_its_own_id() -> None:
    """The id a package brings along becomes its external_id, unless it has one."""
    base = {"title": "t", "description": "d", "visibility": "public"}
    assert plain.manifest_from({**base, "id": "T-7"}).external_id == "T-7"
    assert plain.manifest_from({**base, "id": "T-7", "external_id": "E"}).external_id == "E"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-12-01T10:00:00+01:00", 1796115600),
        ("2026-12-01t09:00:00.75z", 1796115600),
        ("2026-12-01T09:00:00", 1796115600),
        ("9999-12-31T23:59:59Z", 253402300799),
    ],
)
def test_times(text: str, at: int) -> None:
    """RFC 3339 becomes whole seconds, UTC unless it says otherwise; fractions are cut."""
    assert plain.seconds(text, "due_at") == at


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00",
             "9999-12-31T23:59:59-01:00", "x" * 9999]
)  # fmt: skip
def test_no_such_time(text: str) -> None:
    """What is no time, or out of range, is refused by its field."""
    with pytest.raises(Invalid) as caught:
        plain.manifest_from({"title": "t", "description": "d", "due_at": text})
    assert (caught.value.code, caught.value.where) == ("invalid-field", "manifest.due_at")
    assert len(caught.value.message) < 200


FILE = File("input/a", "a", "text/csv", 3, "0" * 64, "task_attachment", "alice", 9, True)
TASK = Task(
    "4k7q2m9x", "claimed", "alice", 2, FULL, 5, Stamp("asked", "bob", 9), (FILE,), 6, None, "why",
    Lease(60, 99, 9), Question(1, 9),
    (
        Execution(1, "bob", 1, 6, "expired", 6, 7, 7, 0, "note", "", ""),
        Execution(2, "bob", 2, 8, "active", None, None, 9, 100, "", "because", "task"),
    ),
    (
        Submission(1, 1, "bob", 7, 1, 3, Review("rejected", "alice", 8)),
        Submission(2, 2, "bob", 7, 0, 0),
    ),
    1,
)  # fmt: skip


def test_records() -> None:
    """A record survives with its package beside it, and does not repeat it."""
    data = plain.record_to(TASK)
    assert not {"manifest", "files"} & data.keys()
    assert plain.record_from(data, FULL, (FILE,)) == TASK
    bare = Task("4k7q2m9x", "draft", "alice", 1, FULL, 5, Stamp("created", "alice", 5))
    assert plain.record_from(plain.record_to(bare), FULL, ()) == bare
    assert list(plain.record_to(bare)) == ["id", "state", "publisher", "version", "created_at", "updated"]


def test_files_and_reviews() -> None:
    """An entry of a file list keeps its kind even where it is the default; a review keeps its reason beside it."""
    assert plain.file_from(plain.file_to(FILE)) == FILE
    assert plain.file_to(FILE)["kind"] == "task_attachment"
    review = Review("approved", "alice", 8)
    assert plain.review_to(review, "fine") == {**plain.review_to(review, ""), "reason": "fine"}
    assert plain.review_from(plain.review_to(review, "fine")) == review


@pytest.mark.parametrize(
    "actor",
    [
        Actor("bob", "agent", "Bob"),
        Actor(
            "bob", "agent", "Bob", Capabilities("low", "read_only", "tiny", ("a",)), ("admin",), False,
            (PublicKey("k", "l", "f", 1), PublicKey("k", "m", "g", 1, 2), PublicKey("k", "n", "h", 1, 4, 2)), 3,
            Stamp("x", "y", 4),
        ),
    ],
)  # fmt: skip
def test_actors(actor: Actor) -> None:
    """An actor survives; capabilities and standing are always written."""
    data: dict[str, Any] = plain.actor_to(actor)
    assert plain.actor_from(data) == actor
    assert {"capabilities", "active"} <= data.keys()
    assert plain.capabilities_from({}) == Capabilities()
    limited = Capabilities(max_claims=3)
    assert plain.capabilities_from(plain.capabilities_to(limited)) == limited


def test_policies() -> None:
    """A policy is told in full, kept without what has its default, and survives both ways."""
    policy = Policy("x", 1, 2, 3, 0, 4, 5, True, 6, 7, 8, 9, 10, 11, (".a",), ("a/b",), Stamp("set", "admin", 9))
    data = plain.policy_to(policy)
    assert plain.policy_from(data) == policy
    assert list(data) == list(Policy.__dataclass_fields__)
    assert plain.policy_from({"max_files": 3}) == Policy(max_files=3)
    assert plain.policy_kept(policy) == data
    assert plain.policy_kept(Policy(max_files=3)) == {"max_files": 3}
    assert list(plain.policy_kept(Policy(max_files=3), {"name", "max_files", "other"}).items()) == [
        ("name", "taskrepo"), ("max_files", 3),
    ]  # fmt: skip


def test_the_defaults_of_a_policy_never_change() -> None:
    """Ledgers leave defaults out and are judged by them for ever: a new field may be added to these, none altered."""
    known = plain.policy_to(Policy())
    settled = json.dumps([known[name] for name in SETTLED_FIELDS.split()]).encode()
    assert hashlib.sha256(settled).hexdigest() == "89510db550c5717537bc38b3fb91bf8a7275a8f03d27f71f6b4b8135a49bbbcc"
