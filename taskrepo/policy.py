"""What the policy says about files and attempts.

* Limits are checked on the whole set a command would leave behind, before anything is stored.
* Every refusal gives the limit and the size that broke it.

>>> check_files(Policy(max_files=1), ())
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from taskrepo.errors import Refused
from taskrepo.model import Actor, Deliverable, File, FileKind, Manifest, Policy
from taskrepo.patterns import glob

RESULT: Final = "result.json"
_FEW: Final = 5  # files of one deliverable that a refusal names


@dataclass(frozen=True, slots=True)
class Lack:
    """A deliverable that a submission lacks: its path as the manifest names it, and why."""

    path: str
    problem: str


def check_files(policy: Policy, files: Sequence[File], held: int = 0) -> None:
    """Raise `Refused` if a file, or the set together with `held` bytes already in the task, breaks a limit."""
    if len(files) > policy.max_files:
        raise Refused(
            "too-many-files",
            f"{len(files)} files; the policy allows {policy.max_files}",
            limit=policy.max_files,
            size=len(files),
        )
    for file in files:
        _check_file(policy, file)
    total = held + sum(file.size for file in files)
    if files and total > policy.max_task_bytes + _overhead(policy.max_task_bytes, files):
        raise Refused(
            "task-too-large",
            f"the task's files would come to {total} bytes; the policy allows {policy.max_task_bytes}",
            **_sizes(policy.max_task_bytes, total),
        )


def check_quota(policy: Policy, actor: Actor, held: int, coming: int) -> None:
    """Raise `Refused("actor-quota")` if `coming` more bytes, beside the `held`, are more than an actor may bring.

    A rule of admission to one exchange: only the exchange that counts can apply it, so no ledger is judged by it.
    """
    total = held + coming
    if total > policy.max_actor_bytes:
        raise Refused(
            "actor-quota",
            f"the files that {actor.id} has brought would come to {total} bytes; "
            f"the policy allows {policy.max_actor_bytes}",
            **_sizes(policy.max_actor_bytes, total),
        )


def claims_limit(policy: Policy, actor: Actor) -> int:
    """How many tasks the actor may hold at once; 0 for any number. What an actor's record says can only be less."""
    return min(filter(None, (policy.max_claims, actor.capabilities.max_claims)), default=0)


def claims_left(policy: Policy, actor: Actor, in_hand: int) -> int | None:
    """How many more tasks the actor may claim, who holds `in_hand`; `None` for any number."""
    limit = claims_limit(policy, actor)
    return max(0, limit - in_hand) if limit else None


def check_claims(policy: Policy, actor: Actor, in_hand: int) -> None:
    """Raise `Refused("too-many-claims")` if the actor, who holds `in_hand` tasks, may not claim another.

    A task counts while its lease runs: not with an open question, nor once it is submitted, as others move it then.
    Like the quota it is a rule of admission to one exchange, and no ledger is judged by it.
    """
    reasons = overburdened(policy, actor, in_hand)
    if reasons:
        raise Refused("too-many-claims", reasons[0], limit=claims_limit(policy, actor), in_hand=in_hand)


def overburdened(policy: Policy, actor: Actor, in_hand: int) -> tuple[str, ...]:
    """Why somebody who holds `in_hand` tasks cannot claim another, and what they can do; nothing if they can."""
    if claims_left(policy, actor, in_hand) != 0:
        return ()
    held = "1 task" if in_hand == 1 else f"{in_hand} tasks"
    told = f"you hold {held} and may hold {claims_limit(policy, actor)} at once; submit or release one first"
    return (f"{told}. What is submitted or waits for an answer does not count",)


def stamp_files(
    policy: Policy, files: Sequence[File], actor: Actor, now: int, kind: FileKind
) -> tuple[File, ...]:
    """The files as the ledger records them, by path: of which kind, who added them, when, and whether outside git."""
    stamped = (replace(f, by=actor.id, at=now, kind=kind, lfs=f.size >= policy.large_file_bytes) for f in files)
    return tuple(sorted(stamped, key=lambda f: f.path))


def missing_deliverables(manifest: Manifest, files: Sequence[File]) -> tuple[Lack, ...]:
    """What a submission of these files lacks, in the manifest's order: paths that no file answers, or not as asked.

    `patterns.glob` says which files a path means. If some of them are of the media type, they answer it, and each must
    fit the bounds of its size. One that is not required may be absent, but not be there in another form.
    """
    lacks = [lack for d in manifest.deliverables if d.path for lack in _lacks(d, files)]
    asked = any(d.required and d.path == RESULT for d in manifest.deliverables)
    if manifest.result_schema and not asked and all(file.path != RESULT for file in files):
        lacks.append(Lack(RESULT, "missing; the manifest has a result_schema"))
    return tuple(lacks)


def _lacks(deliverable: Deliverable, files: Sequence[File]) -> list[Lack]:
    pattern = glob(deliverable.path)
    named = [file for file in files if pattern.matches(file.path)]
    if not named:
        return [Lack(deliverable.path, "missing")] if deliverable.required else []
    typed = [file for file in named if _is_of(file.media_type, deliverable.media_type)]
    wrong = [(file, told) for file in typed if (told := _size_problem(deliverable, file))]
    if not typed:
        wrong = [(f, f"wrong media type ({f.media_type or 'unknown'}, not {deliverable.media_type})") for f in named]
    lacks = [Lack(deliverable.path, f"{_which(deliverable, file)}{told}") for file, told in wrong[:_FEW]]
    if len(wrong) > _FEW:
        lacks.append(Lack(deliverable.path, f"{len(wrong) - _FEW} more files that do not fit"))
    return lacks


def _which(deliverable: Deliverable, file: File) -> str:
    """The file's path, where the manifest's does not say it."""
    return "" if file.path in (deliverable.path, f"artifacts/{deliverable.path}") else f"{file.path}: "


def _is_of(media_type: str, wanted: str) -> bool:
    """Whether a media type is the wanted one (RFC 6838: in any case), which may be `image/*`, and have parameters."""
    own, asked = (t.partition(";")[0].strip().lower() for t in (media_type, wanted))
    return asked in ("", "*/*", own) or (asked.endswith("/*") and own.startswith(asked[:-1]))


def _size_problem(deliverable: Deliverable, file: File) -> str:
    if deliverable.min_bytes is not None and file.size < deliverable.min_bytes:
        return f"too small ({file.size} bytes; at least {deliverable.min_bytes})"
    if deliverable.max_bytes is not None and file.size > deliverable.max_bytes:
        return f"too large ({file.size} bytes; at most {deliverable.max_bytes})"
    return ""


def lease_seconds(policy: Policy, manifest: Manifest) -> int:
    """How long a lease on this task runs, in seconds."""
    return min(manifest.lease_seconds or policy.lease_seconds, policy.max_lease_seconds)


def max_attempts(policy: Policy, manifest: Manifest) -> int:
    """How many executions the task may have."""
    return min(manifest.max_attempts or policy.max_attempts, policy.max_attempts)


def _overhead(limit: int, files: Sequence[File]) -> int:
    """How much over a limit encrypted files may be: 16 bytes in 64 KiB (and 128 for each) are not their owner's."""
    sealed = sum(bool(file.seal) for file in files)
    return limit // 4096 + 128 * sealed if sealed else 0


def _check_file(policy: Policy, file: File) -> None:
    if file.size > policy.max_file_bytes + _overhead(policy.max_file_bytes, (file,)):
        raise Refused(
            "file-too-large",
            f"{file.path} has {file.size} bytes; the policy allows {policy.max_file_bytes}",
            path=file.path,
            **_sizes(policy.max_file_bytes, file.size),
        )
    if file.seal:
        return  # what it is was judged before it was encrypted, and cannot be told from outside
    for name in (file.path, file.name):
        _check_type(policy, file, name, file.media_type)
    for member in file.inside:
        _check_type(policy, file, member.path, member.media_type, f" holds {member.path}")


def _check_type(policy: Policy, file: File, name: str, media_type: str, holds: str = "") -> None:
    """Raise `Refused` if the file, or the member that it `holds`, has a denied suffix or type."""
    # Windows drops dots and spaces at the end of a name.
    plain = name.lower().rstrip(". ")
    suffix = next((suffix for suffix in policy.denied_suffixes if plain.endswith(suffix)), "")
    denied = media_type if media_type in policy.denied_types else ""
    if suffix or denied:
        field, entry = ("denied_suffixes", suffix) if suffix else ("denied_types", denied)
        raise Refused(
            "denied-file-type",
            f"{file.path}{holds}: the policy's {field} {'has' if holds else 'holds'} {entry}",
            path=file.path,
            rule=f"{field}: {entry}",
            **({"member": name} if holds else {}),
        )


def _sizes(limit: int, size: int) -> dict[str, Any]:
    return {"limit": limit, "size": size}
