"""What the policy says about files and attempts."""

from dataclasses import replace

import pytest

from taskrepo import policy as limits
from taskrepo.errors import Refused
from taskrepo.model import Actor, Capabilities, Deliverable, File, Manifest, Member, Policy
from tests.support.cases import each

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
    assert refused.message == "3 files; the policy allows 2"


def test_a_file_too_large() -> None:
    """A file one byte over the limit is refused by its path."""
    policy = Policy(max_file_bytes=10)
    limits.check_files(policy, [_file("a", 10)])
    refused = _refusal(policy, _file("b", 11))
    assert (refused.code, refused.details) == ("file-too-large", {"path": "b", "limit": 10, "size": 11})
    assert refused.message == "b has 11 bytes; the policy allows 10"


def test_a_task_too_large() -> None:
    """What the task holds already counts with what comes."""
    policy = Policy(max_task_bytes=10)
    limits.check_files(policy, [_file("a", 4)], 6)
    refused = _refusal(policy, _file("a", 4), held=7)
    assert (refused.code, refused.details) == ("task-too-large", {"limit": 10, "size": 11})
    assert refused.message == "the task's files would come to 11 bytes; the policy allows 10"
    limits.check_files(policy, [_file("a", 10)])
    limits.check_files(policy, [], 11)  # nothing comes


def test_what_encryption_adds_counts_for_nobody() -> None:
    """A sealed file may be larger by 16 bytes in 64 KiB and 128 more, and so may each of several together."""
    size, sealed = 8192, replace(_file("a"), seal="sealed")
    policy = Policy(max_file_bytes=size, max_task_bytes=size)
    limits.check_files(policy, [replace(sealed, size=size + 2 + 128)])
    assert _refusal(policy, replace(sealed, size=size + 2 + 129)).code == "file-too-large"
    half = size // 2
    limits.check_files(policy, [replace(sealed, size=half + 129), replace(sealed, path="b", size=half + 129)])
    over = replace(sealed, size=half + 129), replace(sealed, path="b", size=half + 130)
    assert _refusal(policy, *over).code == "task-too-large"
    assert _refusal(policy, _file("a", size + 1)).code == "file-too-large"


def test_what_one_actor_brings_is_bounded() -> None:
    """What an actor has brought counts with what comes; the limit itself is fine, and both numbers are told."""
    policy = Policy(max_actor_bytes=10)
    limits.check_quota(policy, ALICE, 6, 4)
    with pytest.raises(Refused) as caught:
        limits.check_quota(policy, ALICE, 6, 5)
    assert (caught.value.code, caught.value.details) == ("actor-quota", {"limit": 10, "size": 11})
    assert caught.value.message == (
        "the files that alice has brought would come to 11 bytes; the policy allows 10")


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


PE = "application/vnd.microsoft.portable-executable"


def test_denied_content() -> None:
    """A denied type is refused under any name, and the rule is named; taken off the list, it passes."""
    program = _file("artifacts/notes.txt", media_type=PE)
    refused = _refusal(Policy(), program)
    assert refused.details == {"path": program.path, "rule": f"denied_types: {PE}"}
    assert refused.message == f"artifacts/notes.txt: the policy's denied_types holds {PE}"
    allowed = tuple(kind for kind in Policy().denied_types if kind != PE)
    limits.check_files(Policy(denied_types=allowed), [program])


@pytest.mark.parametrize(
    ("member", "rule"),
    [
        (Member("bin/setup", PE), f"denied_types: {PE}"),
        (Member("in.zip!/bin/Setup.EXE. ", PE), "denied_suffixes: .exe"),
        (Member("run.bat", "text/plain"), "denied_suffixes: .bat"),
    ],
)
def test_denied_members(member: Member, rule: str) -> None:
    """What an archive holds is refused as the file itself would be, and both are named."""
    archive = replace(_file("artifacts/tools.zip", media_type="application/zip"), inside=(member,))
    refused = _refusal(Policy(), archive)
    assert refused.details == {"path": archive.path, "rule": rule, "member": member.path}
    field, entry = rule.split(": ")
    assert refused.message == f"artifacts/tools.zip holds {member.path}: the policy's {field} has {entry}"


@pytest.mark.parametrize("kind", ["application/x-encrypted", "application/x-damaged"])
def test_members_a_policy_may_deny(kind: str) -> None:
    """Locked and damaged archives pass by default; a policy that lists their type refuses them."""
    archive = replace(_file("a.zip", media_type="application/zip"), inside=(Member("a.csv", kind),))
    limits.check_files(Policy(), [archive])
    assert _refusal(Policy(denied_types=(kind,)), archive).details["rule"] == f"denied_types: {kind}"


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
    lacks = limits.missing_deliverables(manifest, [_file(path, media_type=media_type)])
    assert [lack.path for lack in lacks] == ([] if found else [deliverable.path])


@pytest.mark.parametrize(
    ("deliverable", "files", "problems"),
    [
        (Deliverable("", "a.csv"), [], ["missing"]),
        (Deliverable("", "a.csv", "text/csv"), [_file("a.csv")], ["wrong media type (text/plain, not text/csv)"]),
        (Deliverable("", "a.csv", "text/csv"), [_file("a.csv", media_type="")],
         ["wrong media type (unknown, not text/csv)"]),
        (Deliverable("", "a.csv", "Text/CSV"), [_file("a.csv", media_type="text/csv; charset=utf-8")], []),
        (Deliverable("", "a.csv", "text/*"), [_file("a.csv")], []),
        (Deliverable("", "a.csv", "*/*"), [_file("a.csv")], []),
        (Deliverable("", "a.csv", "image/*"), [_file("a.csv")], ["wrong media type (text/plain, not image/*)"]),
        (Deliverable("", "a.csv", min_bytes=10), [_file("artifacts/a.csv", 3)], ["too small (3 bytes; at least 10)"]),
        (Deliverable("", "a.csv", max_bytes=2), [_file("a.csv", 3)], ["too large (3 bytes; at most 2)"]),
        (Deliverable("", "a.csv", min_bytes=3, max_bytes=3), [_file("a.csv", 3)], []),
        (Deliverable("", "a.csv", required=False), [], []),
        (Deliverable("", "a.csv", "text/csv", required=False), [_file("a.csv")],
         ["wrong media type (text/plain, not text/csv)"]),
        (Deliverable("", "a", required=False, max_bytes=0), [_file("a", 1)], ["too large (1 bytes; at most 0)"]),
        (Deliverable("", "*.csv", min_bytes=2), [_file("artifacts/a.csv", 1), _file("artifacts/b.csv", 2)],
         ["artifacts/a.csv: too small (1 bytes; at least 2)"]),
        (Deliverable("", "*.csv", "text/csv", max_bytes=1),
         [_file("artifacts/a.csv", 9), _file("artifacts/b.csv", 1, media_type="text/csv")], []),
        (Deliverable("", "*", "image/*"), [_file("artifacts/a"), _file("artifacts/b")],
         ["artifacts/a: wrong media type (text/plain, not image/*)",
          "artifacts/b: wrong media type (text/plain, not image/*)"]),
        (Deliverable("", "*", max_bytes=0), [_file(f"artifacts/{n}") for n in range(9)],
         [*(f"artifacts/{n}: too large (1 bytes; at most 0)" for n in range(5)), "4 more files that do not fit"]),
        (Deliverable("words", min_bytes=5), [], []),
    ],
)  # fmt: skip
def test_problems_of_deliverables(deliverable: Deliverable, files: list[File], problems: list[str]) -> None:
    """Each file that answers a deliverable has its type and size, or the problem is told; so for optional ones."""
    lacks = limits.missing_deliverables(Manifest("t", "d", deliverables=(deliverable,)), files)
    assert [(lack.path, lack.problem) for lack in lacks] == [(deliverable.path, problem) for problem in problems]


def test_all_problems_are_told_at_once() -> None:
    """The list follows the manifest's, and result.json is on it once if there is a schema for it."""
    manifest = Manifest("t", "d", deliverables=(Deliverable("", "b"), Deliverable("", "a")), result_schema="{}")
    lacks = limits.missing_deliverables(manifest, [])
    assert [lack.path for lack in lacks] == ["b", "a", "result.json"]
    assert lacks[-1].problem == "missing; the manifest has a result_schema"
    assert len(limits.missing_deliverables(manifest, [_file("result.json")])) == 2
    named = Manifest("t", "d", deliverables=(Deliverable("", "result.json"),), result_schema="{}")
    assert [lack.problem for lack in limits.missing_deliverables(named, [])] == ["missing"]


def test_hostile_paths_are_matched_at_once() -> None:
    """Paths made to make matching explode are compared with many long names without delay."""
    hostile = tuple(Deliverable("", f"{'*a' * n}b") for n in range(1, 17))
    files = [_file(f"artifacts/{'a' * 200}{n}") for n in range(100)]
    assert len(limits.missing_deliverables(Manifest("t", "d", deliverables=hostile), files)) == 16


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


def test_claims_at_once() -> None:
    """The smaller limit of policy and actor counts; 0 in the policy is none, and the actor's own still holds."""

    def holds(case: tuple[int, int | None, int, int | None]) -> None:
        allowed, own, in_hand, left = case
        policy, actor = Policy(max_claims=allowed), Actor("bob", "agent", "Bob", Capabilities(max_claims=own))
        assert limits.claims_left(policy, actor, in_hand) == left
        reasons = limits.overburdened(policy, actor, in_hand)
        assert bool(reasons) == (left == 0)
        if left == 0:
            with pytest.raises(Refused, match=f"too-many-claims: you hold {in_hand} task") as caught:
                limits.check_claims(policy, actor, in_hand)
            assert caught.value.message == reasons[0]
            assert caught.value.details == {"limit": limits.claims_limit(policy, actor), "in_hand": in_hand}
        else:
            limits.check_claims(policy, actor, in_hand)

    each(((0, None, 9, None), (2, None, 1, 1), (2, None, 2, 0), (2, None, 3, 0), (2, 5, 1, 1), (9, 1, 1, 0),
          (0, 3, 1, 2)), holds)  # fmt: skip
