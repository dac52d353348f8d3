"""What an actor can ask for: one frozen class for each command of the rule book.

* A command is data; `lifecycle.decide` (tasks) and `directory.decide` (actors, policy) say what becomes of it.
* `name` is the imperative word people type, `event` the past word the ledger records.
* `execution` is the fence: the number of the attempt the caller believes to be in.

>>> Claim("4k7q2m9x").name, Claim.event
('claim', 'claimed')
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from taskrepo.model import ActorType, Capabilities, File, Manifest, Policy, iso


@dataclass(frozen=True, slots=True)
class Command:
    """Something asked of a task, by its id."""

    task: str

    name: ClassVar[str]
    event: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Create(Command):
    """A new task from a package; `draft` keeps it unpublished."""

    manifest: Manifest
    files: tuple[File, ...] = ()
    draft: bool = False
    name: ClassVar[str] = "create"
    event: ClassVar[str] = "created"


@dataclass(frozen=True, slots=True)
class Revise(Command):
    """A new version of the package: another manifest, files added or replaced, paths dropped."""

    manifest: Manifest | None = None
    files: tuple[File, ...] = ()
    drop: tuple[str, ...] = ()
    name: ClassVar[str] = "revise"
    event: ClassVar[str] = "revised"


@dataclass(frozen=True, slots=True)
class Publish(Command):
    """A draft becomes work that others can claim."""

    name: ClassVar[str] = "publish"
    event: ClassVar[str] = "published"


@dataclass(frozen=True, slots=True)
class Claim(Command):
    """The caller takes the task, with a lease."""

    name: ClassVar[str] = "claim"
    event: ClassVar[str] = "claimed"


@dataclass(frozen=True, slots=True)
class Start(Command):
    """The executor begins."""

    execution: int | None = None
    name: ClassVar[str] = "start"
    event: ClassVar[str] = "started"


@dataclass(frozen=True, slots=True)
class Progress(Command):
    """How far the work is, in percent, with a note and files; renews the lease."""

    execution: int
    percent: int | None = None
    note: str = ""
    files: tuple[File, ...] = ()
    name: ClassVar[str] = "progress"
    event: ClassVar[str] = "progressed"


@dataclass(frozen=True, slots=True)
class Ask(Command):
    """The executor needs an answer; the lease stands still meanwhile."""

    text: str
    execution: int | None = None
    files: tuple[File, ...] = ()
    name: ClassVar[str] = "ask"
    event: ClassVar[str] = "asked"


@dataclass(frozen=True, slots=True)
class Answer(Command):
    """The publisher or reviewer answers the open question."""

    text: str
    files: tuple[File, ...] = ()
    name: ClassVar[str] = "answer"
    event: ClassVar[str] = "answered"


@dataclass(frozen=True, slots=True)
class Release(Command):
    """The executor gives the task back."""

    execution: int
    reason: str
    name: ClassVar[str] = "release"
    event: ClassVar[str] = "released"


@dataclass(frozen=True, slots=True)
class Expire(Command):
    """The exchange ends an execution whose lease has run out."""

    name: ClassVar[str] = "expire"
    event: ClassVar[str] = "expired"


@dataclass(frozen=True, slots=True)
class Submit(Command):
    """The executor delivers: a summary and files (`result.json`, `artifacts/…`, `logs/…`)."""

    execution: int
    summary: str
    files: tuple[File, ...] = ()
    name: ClassVar[str] = "submit"
    event: ClassVar[str] = "submitted"


@dataclass(frozen=True, slots=True)
class Approve(Command):
    """The reviewer accepts the latest submission."""

    reason: str = ""
    name: ClassVar[str] = "approve"
    event: ClassVar[str] = "approved"


@dataclass(frozen=True, slots=True)
class Reject(Command):
    """The reviewer sends the latest submission back."""

    reason: str
    name: ClassVar[str] = "reject"
    event: ClassVar[str] = "rejected"


@dataclass(frozen=True, slots=True)
class Rework(Command):
    """The executor takes up rejected work again."""

    execution: int | None = None
    name: ClassVar[str] = "rework"
    event: ClassVar[str] = "reworked"


@dataclass(frozen=True, slots=True)
class Reopen(Command):
    """A closed task is offered again; what was delivered stays."""

    reason: str
    name: ClassVar[str] = "reopen"
    event: ClassVar[str] = "reopened"


@dataclass(frozen=True, slots=True)
class Fail(Command):
    """The executor cannot finish; `fault` is `task` or `executor`."""

    execution: int
    reason: str
    fault: str = "executor"
    name: ClassVar[str] = "fail"
    event: ClassVar[str] = "failed"


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    """The publisher or an admin calls the task off."""

    reason: str
    name: ClassVar[str] = "cancel"
    event: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True)
class Archive(Command):
    """A closed task leaves the live listings."""

    name: ClassVar[str] = "archive"
    event: ClassVar[str] = "archived"


@dataclass(frozen=True, slots=True)
class Comment(Command):
    """Words, and files, for everybody who reads the task."""

    text: str
    files: tuple[File, ...] = ()
    name: ClassVar[str] = "comment"
    event: ClassVar[str] = "commented"


@dataclass(frozen=True, slots=True)
class Erase(Command):
    """The content of a private task is destroyed for good; the reason stays readable by everyone."""

    reason: str
    name: ClassVar[str] = "erase"
    event: ClassVar[str] = "erased"


@dataclass(frozen=True, slots=True)
class DirectoryCommand:
    """Something asked of the directory. `about` is the record it changes: an actor's id, or `policy`."""

    about: str

    name: ClassVar[str]
    event: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Found(DirectoryCommand):
    """The first event: the exchange with its signing key, its first admin and its policy. `about` is the exchange."""

    key: str
    fingerprint: str
    admin: str
    admin_name: str
    policy: Policy
    name: ClassVar[str] = "found"
    event: ClassVar[str] = "founded"


@dataclass(frozen=True, slots=True)
class AddActor(DirectoryCommand):
    """A new participant."""

    type: ActorType
    label: str = ""
    capabilities: Capabilities = Capabilities()  # noqa: RUF009 — it is frozen, so all may share one
    grants: tuple[str, ...] = ()
    name: ClassVar[str] = "add-actor"
    event: ClassVar[str] = "actor-added"


@dataclass(frozen=True, slots=True)
class ChangeActor(DirectoryCommand):
    """Another name, profile, grant or standing; `None` leaves a field as it is."""

    label: str | None = None
    capabilities: Capabilities | None = None
    grants: tuple[str, ...] | None = None
    active: bool | None = None
    name: ClassVar[str] = "change-actor"
    event: ClassVar[str] = "actor-changed"


@dataclass(frozen=True, slots=True)
class AddKey(DirectoryCommand):
    """A public key the actor signs with from the next commit on. `line` and `fingerprint` as `signing` parses them."""

    label: str
    line: str
    fingerprint: str
    name: ClassVar[str] = "add-key"
    event: ClassVar[str] = "key-added"


@dataclass(frozen=True, slots=True)
class RetireKey(DirectoryCommand):
    """A public key that no longer counts from the next commit on."""

    fingerprint: str
    name: ClassVar[str] = "retire-key"
    event: ClassVar[str] = "key-retired"


@dataclass(frozen=True, slots=True)
class RenameKey(DirectoryCommand):
    """Another name for a public key, live or not."""

    fingerprint: str
    label: str
    name: ClassVar[str] = "rename-key"
    event: ClassVar[str] = "key-renamed"


@dataclass(frozen=True, slots=True)
class RevokeKey(DirectoryCommand):
    """A public key that somebody else may have: it retires, if it has not, and what it signed from `compromised_at`
    (Unix seconds, in the ledger's time) on is not to be trusted."""

    fingerprint: str
    compromised_at: int
    name: ClassVar[str] = "revoke-key"
    event: ClassVar[str] = "key-revoked"

    @property
    def label(self) -> str:
        """What the ledger's log says of it."""
        return f"not to be trusted from {iso(self.compromised_at)}"


@dataclass(frozen=True, slots=True)
class SetPolicy(DirectoryCommand):
    """The whole policy, as it shall be."""

    policy: Policy
    name: ClassVar[str] = "set-policy"
    event: ClassVar[str] = "policy-set"


TASK_COMMANDS: Final[dict[str, type[Command]]] = {c.name: c for c in Command.__subclasses__()}
