"""The two ways a request can fail, and every code they use.

* `Refused`: the request was understood and a rule said no. Asking again later, or as someone else, may succeed.
* `Invalid`: the bytes are malformed; `where` names the field, line or path. Asking again unchanged never succeeds.

Codes are stable kebab-case words, the same through every door. Anything else that is raised is a bug and fails closed.

>>> raise Refused("wrong-state", "only a published task can be claimed; this one is archived", state="archived")
Traceback (most recent call last):
taskrepo.errors.Refused: wrong-state: only a published task can be claimed; this one is archived
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

REFUSALS: Final[Mapping[str, str]] = MappingProxyType({
    # who is asking
    "unauthenticated": "no valid key or session came with the request",
    "actor-suspended": "the actor has been suspended by an admin",
    "not-publisher": "only the publisher of the task may do this",
    "not-executor": "only the current executor of the task may do this",
    "not-reviewer": "only the reviewer of the task may do this",
    "not-admin": "only an admin may do this",
    "exchange-only": "only the exchange itself does this",
    "own-work": "nobody reviews their own work here",
    "not-eligible": "you may not execute this task; the reasons say why",
    # what it is about
    "unknown-task": "no task has this id",
    "ambiguous-id": "more than one id starts like this",
    "unknown-actor": "no actor has this id",
    "unknown-reviewer": "the manifest names a reviewer who is not an actor here",
    "unknown-reader": "the manifest names a reader who is not an actor here",
    "unknown-file": "there is no such file",
    "unknown-submission": "there is no such submission",
    "unknown-version": "the package has no such version",
    "unknown-commit": "the ledger has no such commit",
    "unknown-key": "there is no such key",
    "unknown-webhook": "you have no webhook with this id",
    "unknown-session": "there is no such session, or it has ended",
    "not-found": "there is nothing at this address",
    "duplicate-id": "the id is taken",
    "duplicate-external-id": "the publisher already has a task with this external_id",
    "duplicate-key": "the public key is already registered",
    # state
    "wrong-state": "the task's state does not allow this",
    "already-locked": "the file is locked",
    "already-claimed": "somebody else holds the task",
    "wrong-offset": "the piece does not start where the upload stands",
    "stale-execution": "the cited execution is not the current one",
    "lease-running": "the lease has not run out",
    "already-waiting": "a question is already open",
    "not-waiting": "no question is open",
    "too-many-claims": "the actor holds as many tasks as they may at once",
    "attempts-exhausted": "the task has used up its attempts",
    "submissions-exhausted": "the execution has used up its submissions",
    "discussion-full": "the task's discussion is full",
    "immutable-field": "this field cannot change after creation",
    "public-task": "this is only for private tasks",
    "erased": "the content of the task was erased",
    "sealed-away": "the key to the task's content is not here",
    "private-content": "what is said of a private task must not be pushed, where every clone would show it",
    "blocked": "the task waits for others that are not settled yet",
    "unknown-dependency": "the manifest's blocked_by names no task that you may read",
    "circular-dependency": "the tasks would wait for each other",
    "too-many-dependencies": "too many unsettled tasks wait for one another",
    "nothing-to-claim": "no published task is yours to claim",
    "too-many-keys": "the actor has as many keys as one may have",
    "too-many-kept": "you keep as many of these as one may",
    "nothing-to-change": "the request would change nothing",
    "last-admin": "the exchange must keep one active admin",
    # content
    "missing-deliverable": "the submission lacks a required deliverable",
    "result-mismatch": "result.json is not what the manifest's result_schema asks for",
    "actor-quota": "the actor's files are over the policy's limit",
    "denied-file-type": "the policy denies this type of file",
    "file-too-large": "a file is over the policy's limit",
    "too-many-files": "there are more files than the policy allows",
    "task-too-large": "the task's files are over the policy's limit",
    "too-large": "the body is over the limit",
    "needs-lfs": "a file is large enough to go through Git LFS",
    # the request itself
    "wrong-ref": "nothing can be pushed but signed requests, to refs/for/main",
    "foreign-request": "the request is signed by somebody else than who pushes it",
    "wrong-id": "the task must have another id than the one the push gives it",
    "precondition-failed": "the task has changed since the version the request cites",
    "idempotency-mismatch": "the idempotency key was used for another request",
    "method-not-allowed": "the address does not take this method",
    "not-acceptable": "the client takes no answer of the kind this address gives",
    "unsupported-media-type": "the body's content type is not one this address takes",
    "too-many-requests": "too many requests; slow down",
    "busy": "the exchange cannot take more work just now",
    "forged-request": "the form did not come from a page of this exchange",
    "wrong-password": "the actor and the password do not match",
    "link-expired": "the sign-in link was used or has expired",
    "internal": "the exchange failed",
})


class TaskrepoError(Exception):
    """Either family. `code` is the stable word, `message` a sentence for a person, `details` plain JSON data."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details


class Refused(TaskrepoError):
    """A rule said no. `code` is a key of `REFUSALS`."""

    def __init__(self, code: str, message: str = "", **details: Any) -> None:
        super().__init__(code, message or REFUSALS[code], **details)


class Invalid(TaskrepoError):
    """The bytes are malformed at `where` (a field like `manifest.title`, a line, a path)."""

    def __init__(self, code: str, where: str, message: str, **details: Any) -> None:
        super().__init__(code, f"{where}: {message}" if where else message, **details)
        self.where = where
