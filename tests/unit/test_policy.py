"""What the policy says about files and attempts."""

import pytest

from taskrepo import policy as limits
from taskrepo.errors import Refused
from taskrepo.model import Actor, Deliverable, File, Manifest, Policy

ALICE = Actor("alice", "human", "Alice")


def _file(path: str, size: int = 1, name: str = "", media_type: str = "text/plain") -> File:
    return File(path, name or path.rsplit("/")[-1], media_type, size, "0" * 64)


def _refusal(policy: Policy, *files: File, held: int = 0) -> Refused:
    with pytest.raises(Refused) as caught:
        limits.check_files(policy, files, held)
    return caught.value


def test_too_many_files() -> None:
    """One file more than allowed is refused with both numbers; the limit itself is fine."""
    policy = Policy(max_files=2)
    limits.check_files(policy, [_file("a"), _file("b")])
    refused = _refusal(policy, _file("a"), _file("b"), _file("c"))
    assert (refused.code, refused.details) == ("too-many-files", {"limit": 2, "size": 3})


def test_a_file_too_large() -> None:
    """A file one byte over the limit is refused by its path."""
    policy = Policy(max_file_bytes=10)
    limits.check_files(policy, [_file("a", 10)])
    refused = _refusal(policy, _file("b", 11))
    assert (refused.code, refused.details) == ("file-too-large", {"path": "b", "limit": 10, "size": 11})


def test_a_task_too_large() -> None:
    """What the task holds already counts with what comes."""
    policy = Policy(max_task_bytes=10)
    limits.check_files(policy, [_file("a", 4)], 6)
    refused = _refusal(policy, _file("a", 4), held=7)
    assert (refused.code, refused.details) == ("task-too-large", {"limit": 10, "size": 11})


@pytest.mark.parametrize("file", [_file("x/run.exe"), _file("x/RUN.Exe"), _file("x/run", name="run.EXE")])
def test_denied_types(file: File) -> None:
    """A denied suffix is found in the path and in the owner's name, in any case, and the rule is named."""
    refused = _refusal(Policy(), file)
    assert (refused.code, refused.details["rule"]) == ("denied-file-type", "denied_suffixes: .exe")
    assert refused.details["path"] == file.path


def test_other_types_pass() -> None:
    """A denied suffix within a name denies nothing, and an empty list denies nothing at all."""
    limits.check_files(Policy(), [_file("run.exe.txt"), _file("exe")])
    limits.check_files(Policy(denied_suffixes=()), [_file("run.exe")])


def test_stamping() -> None:
    """Files come out by path, with their kind, who and when; those of the limit's size live outside git."""
    policy = Policy(large_file_bytes=1024)
    stamped = limits.stamp_files(policy, [_file("b", 1024), _file("a", 1023)], ALICE, 7, "event_file")
    assert [(f.path, f.kind, f.by, f.at, f.lfs) for f in stamped] == [
        ("a", "event_file", "alice", 7, False),
        ("b", "event_file", "alice", 7, True),
    ]


@pytest.mark.parametrize(
    ("deliverable", "path", "media_type", "found"),
    [
        (Deliverable("", "out.csv"), "artifacts/out.csv", "text/csv", True),
        (Deliverable("", "artifacts/out.csv"), "artifacts/out.csv", "text/csv", True),
        (Deliverable("", "*.csv"), "artifacts/deep/out.csv", "text/csv", True),
        (Deliverable("", "out.[ct]sv"), "artifacts/out.tsv", "text/csv", True),
        (Deliverable("", "result.json"), "result.json", "application/json", True),
        (Deliverable("", "out.csv", "text/csv"), "artifacts/out.csv", "text/csv", True),
        (Deliverable("", "out.csv", "text/csv"), "artifacts/out.csv", "text/plain", False),
        (Deliverable("", "out.csv"), "artifacts/OUT.csv", "text/csv", False),
        (Deliverable("", "out.csv"), "logs/out.csv", "text/csv", False),
        (Deliverable("only words"), "logs/x", "text/plain", True),
        (Deliverable("", "out.csv", required=False), "logs/x", "text/plain", True),
    ],
)
def test_deliverables(deliverable: Deliverable, path: str, media_type: str, found: bool) -> None:
    """A required path or pattern is looked for as given and below artifacts/, with its media type if one is named."""
    manifest = Manifest("t", "d", deliverables=(deliverable,))
    missing = limits.missing_deliverables(manifest, [_file(path, media_type=media_type)])
    assert missing == (() if found else (deliverable.path,))


def test_leases() -> None:
    """The task's own lease counts before the policy's, never above the policy's maximum."""
    policy = Policy(lease_seconds=100, max_lease_seconds=200)
    assert limits.lease_seconds(policy, Manifest("t", "d")) == 100
    assert limits.lease_seconds(policy, Manifest("t", "d", lease_seconds=150)) == 150
    assert limits.lease_seconds(policy, Manifest("t", "d", lease_seconds=500)) == 200


def test_attempts() -> None:
    """A task may allow fewer attempts than the policy, never more."""
    policy = Policy(max_attempts=5)
    assert [limits.max_attempts(policy, Manifest("t", "d", max_attempts=n)) for n in (None, 2, 9)] == [5, 2, 5]
