"""What the policy says about files and attempts.

* Limits are checked on the whole set a command would leave behind, before anything is stored.
* Every refusal gives the limit and the size that broke it.

>>> check_files(Policy(max_files=1), ())
"""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from taskrepo.errors import Refused
from taskrepo.model import Actor, Deliverable, File, FileKind, Manifest, Policy


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
    if total > policy.max_task_bytes:
        raise Refused(
            "task-too-large",
            f"the task's files would come to {total} bytes; the policy allows {policy.max_task_bytes}",
            **_sizes(policy.max_task_bytes, total),
        )


def stamp_files(
    policy: Policy, files: Sequence[File], actor: Actor, now: int, kind: FileKind
) -> tuple[File, ...]:
    """The files as the ledger records them, by path: of which kind, who added them, when, and whether outside git."""
    stamped = (replace(f, by=actor.id, at=now, kind=kind, lfs=f.size >= policy.large_file_bytes) for f in files)
    return tuple(sorted(stamped, key=lambda f: f.path))


def missing_deliverables(manifest: Manifest, files: Sequence[File]) -> tuple[str, ...]:
    """The required deliverables with a path that no file of the submission answers, as the manifest names them.

    A path may be a pattern with `*`, `?` and `[…]`, and is looked for as given and below `artifacts/`.
    """
    wanted = (d for d in manifest.deliverables if d.required and d.path)
    return tuple(d.path for d in wanted if not any(_delivers(d, file) for file in files))


def _delivers(deliverable: Deliverable, file: File) -> bool:
    named = any(fnmatchcase(file.path, pattern) for pattern in (deliverable.path, f"artifacts/{deliverable.path}"))
    return named and deliverable.media_type in ("", file.media_type)


def lease_seconds(policy: Policy, manifest: Manifest) -> int:
    """How long a lease on this task runs, in seconds."""
    return min(manifest.lease_seconds or policy.lease_seconds, policy.max_lease_seconds)


def max_attempts(policy: Policy, manifest: Manifest) -> int:
    """How many executions the task may have."""
    return min(manifest.max_attempts or policy.max_attempts, policy.max_attempts)


def _check_file(policy: Policy, file: File) -> None:
    if file.size > policy.max_file_bytes:
        raise Refused(
            "file-too-large",
            f"{file.path} has {file.size} bytes; the policy allows {policy.max_file_bytes}",
            path=file.path,
            **_sizes(policy.max_file_bytes, file.size),
        )
    for name in (file.path, file.name):
        denied = next((s for s in policy.denied_suffixes if name.lower().endswith(s)), None)
        if denied:
            raise Refused(
                "denied-file-type",
                f"{file.path}: the policy's denied_suffixes holds {denied}",
                path=file.path,
                rule=f"denied_suffixes: {denied}",
            )


def _sizes(limit: int, size: int) -> dict[str, Any]:
    return {"limit": limit, "size": size}
