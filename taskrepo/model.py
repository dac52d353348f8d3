"""The nouns of the exchange, as frozen data.

* Every value is immutable; a change makes a new value with `dataclasses.replace`.
* Times are whole Unix seconds (UTC). Text is `str`, content is referred to by SHA-256, never held here.
* Nothing here decides anything: rules live in `lifecycle`, `directory` and `matching`.

>>> Capabilities(reasoning_tier="high").browser
'none'
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, get_args

State = Literal[
    "draft", "published", "claimed", "running", "submitted", "approved", "rejected", "failed", "cancelled", "archived"
]
ActorType = Literal["human", "agent", "service"]
Constraint = Literal["human_only", "agent_only", "human_or_agent"]
Tier = Literal["low", "medium", "high"]
Browser = Literal["none", "read_only", "interactive"]
Compute = Literal["tiny", "small", "medium"]
Speed = Literal["fast", "balanced", "quality"]
Visibility = Literal["public", "private"]
FileKind = Literal["task_attachment", "submission_artifact", "event_file"]
Door = Literal["web", "api", "mcp", "a2a", "cli", "git", "exchange"]
Outcome = Literal[
    "active", "submitted", "approved", "rejected", "released", "expired", "failed", "cancelled"
]

STATES: Final[tuple[State, ...]] = get_args(State)
HELD: Final[frozenset[State]] = frozenset({"claimed", "running"})
EXCHANGE: Final = "exchange"
DAY: Final = 86400
ESTIMATED_DAYS: Final[Mapping[int, int]] = MappingProxyType({1: 1, 2: 3, 3: 7, 4: 14, 5: 30})
"""For each priority, when a task is taken to be due whose manifest does not say so."""


@lru_cache(4096)  # a page asks for the same times again and again
def iso(at: int) -> str:
    """The time as RFC 3339 in UTC, whole seconds: `2026-11-21T02:06:00Z`."""
    return f"{datetime.fromtimestamp(at, UTC).isoformat()[:19]}Z"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an actor can do. Each tier is ordered as its type lists it, weakest first.

    `max_claims` is how many tasks they hold at once, where that is less than the policy allows.
    """

    reasoning_tier: Tier = "medium"
    browser: Browser = "none"
    compute: Compute = "small"
    skills: tuple[str, ...] = ()
    max_claims: int | None = None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An SSH public key of an actor. `line` is `<type> <base64>`, without comment. `retired_at` ends its validity.

    `compromised_at` says that it was revoked, and from which moment on nothing it signed is to be trusted.
    """

    name: str
    line: str
    fingerprint: str
    added_at: int
    retired_at: int | None = None
    compromised_at: int | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """The last event that changed a record: its name (`claimed`), who caused it, when."""

    event: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Any participant. `grants` may hold `admin`, the only standing grant."""

    id: str
    type: ActorType
    name: str
    capabilities: Capabilities = Capabilities()
    grants: tuple[str, ...] = ()
    active: bool = True
    keys: tuple[PublicKey, ...] = ()
    created_at: int = 0
    updated: Stamp = Stamp("", "", 0)

    @property
    def is_admin(self) -> bool:
        """Whether the actor holds the `admin` grant."""
        return "admin" in self.grants


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive that a policy may deny: its path there, those of nested archives joined by `!/`."""

    path: str
    media_type: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of a package, submission or discussion entry.

    `path` is relative to its root (`input/prices.csv`), `name` the name it had at its owner's, `size` in bytes,
    `sha256` lower-case hex of the whole content. `lfs` says the tree holds a Git LFS pointer instead of the content.
    `by` and `at` are stamped by `decide`. `inside` lists what an archive holds that a policy may deny.

    As the ledger holds a file of a private task, `seal` is its description, encrypted, and the rest speaks of the
    encrypted content. As its reader sees it, `stored` is the file it was in the ledger.
    """

    path: str
    name: str
    media_type: str
    size: int
    sha256: str
    kind: FileKind = "task_attachment"
    by: str = ""
    at: int = 0
    lfs: bool = False
    inside: tuple[Member, ...] = ()
    seal: str = ""
    stored: "File | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Deliverable:
    """Something a submission delivers. `path` may be a pattern (`artifacts/*.csv`); only one with a path is checked.

    `min_bytes` and `max_bytes` bound the size of each file that answers it.
    """

    description: str = ""
    path: str = ""
    media_type: str = ""
    required: bool = True
    min_bytes: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of the acceptance list."""

    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The definition of the work: the part of a package that people write. Only title and description are required.

    `result_schema` is the JSON text of a schema for `result.json`; `readers` may read and claim a private task;
    `blocked_by` are the ids of tasks that must be settled well before this one can be claimed.
    """

    title: str
    description: str
    executor_constraints: Constraint = "human_or_agent"
    reasoning_tier: Tier = "low"
    browser_requirement: Browser = "none"
    compute_requirement: Compute = "tiny"
    speed_priority: Speed = "balanced"
    deliverables: tuple[Deliverable, ...] = ()
    acceptance: tuple[Criterion, ...] = ()
    review: str = "publisher"
    priority: int = 3
    due_at: int | None = None
    reminder_at: int | None = None
    labels: tuple[str, ...] = ()
    lease_seconds: int | None = None
    max_attempts: int | None = None
    visibility: Visibility = "public"
    readers: tuple[str, ...] = ()
    result_schema: str = ""
    blocked_by: tuple[str, ...] = ()
    origin: str = ""
    source_name: str = ""
    source_url: str = ""
    source_context: str = ""
    external_id: str = ""

    @property
    def private(self) -> bool:
        """Whether only the people of the task may read it."""
        return self.visibility == "private"


@dataclass(frozen=True, slots=True)
class Lease:
    """How long the executor may hold the task without being heard of.

    `until` moves on every sign of life; while a question is open (`paused_at`) the lease stands still.
    """

    seconds: int
    until: int
    paused_at: int | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt. `number` counts from 1 and is the fence. `version` is the package version it claimed."""

    number: int
    actor: str
    version: int
    claimed_at: int
    outcome: Outcome
    started_at: int | None = None
    ended_at: int | None = None
    heartbeat_at: int | None = None
    percent: int | None = None
    note: str = ""
    reason: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A decision on a submission."""

    decision: Literal["approved", "rejected"]
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Submission:
    """What an execution delivered; `number` counts over the whole task. The content is in `submissions/<number>/`."""

    number: int
    execution: int
    by: str
    at: int
    files: int
    bytes: int
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """The open question the executor waits for: the number of its discussion entry and since when."""

    entry: int
    since: int


@dataclass(frozen=True, slots=True)
class Task:
    """The platform record and the package's manifest and file list. `discussion` counts the entries."""

    id: str
    state: State
    publisher: str
    version: int
    manifest: Manifest
    created_at: int
    updated: Stamp
    files: tuple[File, ...] = ()
    published_at: int | None = None
    closed_at: int | None = None
    reason: str = ""
    lease: Lease | None = None
    waiting: Question | None = None
    executions: tuple[Execution, ...] = ()
    submissions: tuple[Submission, ...] = ()
    discussion: int = 0
    erased_at: int | None = None

    @property
    def execution(self) -> Execution | None:
        """The latest execution, open or not."""
        return self.executions[-1] if self.executions else None

    @property
    def holder(self) -> Execution | None:
        """The execution that still has a say: at work, under review, or rejected and free to be reworked."""
        return self.execution if self.state in ("claimed", "running", "submitted", "rejected") else None

    @property
    def assignee(self) -> str:
        """Who works on it, or did the work it was closed with; else the empty string."""
        last = self.execution
        done = self.state in ("approved", "archived") and last is not None and last.outcome == "approved"
        return last.actor if last and (done or self.holder) else ""

    @property
    def due_by(self) -> int:
        """When it is due: as its manifest says, else estimated by its priority from when it was (last) published.

        An estimate is never stored: it moves when the priority does.
        """
        if self.manifest.due_at is not None:
            return self.manifest.due_at
        begun = self.created_at if self.published_at is None else self.published_at
        return begun + ESTIMATED_DAYS[self.manifest.priority] * DAY

    @property
    def due_estimated(self) -> bool:
        """Whether `due_by` is only an estimate."""
        return self.manifest.due_at is None


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits and defaults, from `policy.yaml`. Sizes in bytes, spans in seconds.

    `policy.yaml` leaves out what has its default, and every commit is judged by it again. So a default never changes,
    and that of a new field is what held before there was the field; what new exchanges begin with is `founding`'s.
    """

    name: str = "taskrepo"
    lease_seconds: int = 7200
    max_lease_seconds: int = 7 * 86400
    max_attempts: int = 10
    max_claims: int = 100
    max_submissions: int = 20
    max_discussion: int = 2000
    self_review: bool = False
    large_file_bytes: int = 1 << 20
    max_file_bytes: int = 2 << 30
    max_task_bytes: int = 8 << 30
    max_files: int = 5000
    max_actor_bytes: int = 64 << 30
    upload_seconds: int = 86400
    denied_suffixes: tuple[str, ...] = field(
        default=(
            ".aab", ".action", ".apk", ".app", ".appimage", ".appinstaller", ".applescript", ".application",
            ".appref-ms", ".appx", ".appxbundle", ".bat", ".chm", ".cmd", ".com", ".command", ".cpl", ".deb",
            ".desktop", ".diagcab", ".dll", ".dmg", ".exe", ".fileloc", ".flatpak", ".flatpakref", ".gadget", ".hta",
            ".img", ".inetloc", ".iso", ".jar", ".jnlp", ".jse", ".library-ms", ".lnk", ".mpkg", ".msc", ".msi",
            ".msix", ".msixbundle", ".msp", ".mst", ".msu", ".ocx", ".pif", ".pkg", ".ps1", ".psm1", ".reg", ".rpm",
            ".scf", ".scpt", ".scptd", ".scr", ".sct", ".search-ms", ".searchconnector-ms", ".settingcontent-ms",
            ".snap", ".terminal", ".url", ".vb", ".vbe", ".vbs", ".vhd", ".vhdx", ".webloc", ".website",
            ".workflow", ".wsc", ".wsf", ".wsh", ".xapk", ".xll",
        )
    )
    denied_types: tuple[str, ...] = field(
        default=(
            "application/hta", "application/java-archive", "application/java-vm", "application/msix",
            "application/vnd.android.package-archive", "application/vnd.appimage",
            "application/vnd.debian.binary-package", "application/vnd.efi.img", "application/vnd.efi.iso",
            "application/vnd.flatpak", "application/vnd.microsoft.portable-executable",
            "application/vnd.ms-cab-compressed", "application/vnd.ms-htmlhelp", "application/vnd.rar",
            "application/vnd.snap", "application/windows-library+xml", "application/windows-search-connector+xml",
            "application/x-7z-compressed", "application/x-ace-compressed", "application/x-apple-bundle",
            "application/x-apple-command", "application/x-apple-diskimage", "application/x-apple-terminal",
            "application/x-applescript", "application/x-bat", "application/x-cpio", "application/x-desktop",
            "application/x-dex", "application/x-dosexec", "application/x-elf", "application/x-java-jnlp-file",
            "application/x-lzh-compressed", "application/x-mach-binary", "application/x-ms-application",
            "application/x-ms-encoded-script", "application/x-ms-msc", "application/x-ms-scf",
            "application/x-ms-settingcontent", "application/x-ms-shortcut", "application/x-ms-wim",
            "application/x-ms-wsf", "application/x-msi", "application/x-mswinurl", "application/x-powershell",
            "application/x-rpm", "application/x-squashfs", "application/x-stuffit", "application/x-uninspectable",
            "application/x-vhd", "application/x-webloc", "application/x-windows-gadget", "application/x-xar",
            "text/scriptlet", "text/vbscript", "text/x-ms-regedit",
        )
    )
    updated: Stamp = Stamp("", "", 0)


@dataclass(frozen=True, slots=True)
class Row:
    """What a listing knows of a task: its sort keys and filters, and the text it is found by.

    `seq` is the ledger position of its last event (a count of commits), which breaks ties between equal times.
    `readers` are those who may know of a private task beside admins; `None` means everybody. `needs` are the words of
    `matching.needs`; `origin` and `source` say what the work came from. `blocked` says whether it cannot be claimed
    because of one of the tasks `blocked_by`. `card` is the task itself (see `cards`).
    """

    id: str
    title: str
    state: State
    publisher: str
    assignee: str
    reviewer: str
    labels: tuple[str, ...]
    priority: int
    due_at: int | None
    created_at: int
    updated_at: int
    waiting: bool
    seq: int
    text: str
    readers: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    origin: str = ""
    source: str = ""
    blocked: bool = False
    blocked_by: tuple[str, ...] = ()
    card: bytes = b""
