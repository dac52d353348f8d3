"""What the pages' forms ask for: the fields of each command, of a manifest, of an actor.

* A field is named as the schema names it, so that a problem found by a schema leads back to it.
* What fits in a field is what the schema takes; the schema alone decides.

>>> [field.name for field in ACTIONS["release"].fields]
['reason']
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.model import ActorType, Browser, Compute, Constraint, Speed, Tier, Visibility

Kind = Literal["line", "text", "number", "choice", "options", "moment", "password", "file", "files", "folder"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `most` is how many characters fit, or the largest number; `choices` are values with their words.

    Of `options` each choice is on the page with its sentence in `told`. `short` and `empty` are for a summary: what is
    said before the value, and what is said when there is none.
    """

    name: str
    label: str
    kind: Kind = "line"
    required: bool = False
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    most: int | None = None
    least: int | None = None
    rows: int = 4
    told: tuple[str, ...] = ()
    short: str = ""
    empty: str = ""

    def said(self, value: str) -> str:
        """The value in a summary.

        >>> Field("review", "Who reviews", short="review: ").said("bob")
        'review: bob'
        """
        words = dict(self.choices).get(value, value) if value.strip() else ""
        return f"{self.short}{words}" if words else self.empty


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together and are folded away, under a line that says what they are set to."""

    name: str
    title: str
    fields: tuple[Field, ...]

    def summary(self, values: Mapping[str, str]) -> str:
        """What the fields are set to, in one line."""
        return " · ".join(filter(None, (field.said(values.get(field.name, "")) for field in self.fields)))


@dataclass(frozen=True, slots=True)
class Action:
    """A command as a form: a heading, the words on its button, and what it asks for."""

    title: str
    button: str
    hint: str = ""
    fields: tuple[Field, ...] = ()
    grave: bool = False

    @property
    def uploads(self) -> bool:
        """Whether files come with it."""
        return any(field.kind in ("file", "files", "folder") for field in self.fields)


def _choices(kind: object, **more: str) -> tuple[tuple[str, str], ...]:
    return tuple((value, more.get(value, value.replace("_", " "))) for value in get_args(kind))


_ATTACHMENTS: Final = Field("files", "Files", "files")


def _reason(label: str = "Reason", required: bool = True) -> Field:
    return Field("reason", label, "text", required, most=2000, rows=3)


ACTIONS: Final[dict[str, Action]] = {
    "publish": Action("Publish", "Publish", "From now on others can claim it."),
    "claim": Action("Claim", "Claim this task", "You hold it for the length of its lease; progress renews that."),
    "rework": Action("Rework", "Take it up again", "The same execution goes on, with a new lease."),
    "start": Action("Start", "Start work", "Says that work has begun and renews the lease."),
    "submit": Action("Submit", "Submit", "What you deliver goes to the reviewer.", (
        Field("summary", "Summary", "text", True, "What you did and how to check it. Markdown.", most=20000, rows=6),
        Field("result", "Result as JSON", "text", hint="Becomes result.json.", rows=3),
        Field("result_file", "or a result.json file", "file"),
        Field("artifacts", "Artifacts", "files", hint="What the task asks you to deliver."),
        Field("artifacts_folder", "A folder of artifacts", "folder"),
        Field("logs", "Logs", "files"),
    )),
    "progress": Action("Report progress", "Report progress", "Renews the lease.", (
        Field("percent", "Percent done", "number", most=100, least=0),
        Field("note", "Note", "line", most=500),
        _ATTACHMENTS,
    )),
    "ask": Action("Ask a question", "Ask", "The lease stands still until the publisher or reviewer answers.", (
        Field("text", "Question", "text", True, "Markdown.", most=20000),
        _ATTACHMENTS,
    )),
    "answer": Action("Answer the question", "Answer", "The executor's lease runs on from here.", (
        Field("text", "Answer", "text", True, "Markdown.", most=20000),
        _ATTACHMENTS,
    )),
    "approve": Action("Approve", "Approve", "The work is accepted.", (_reason("Reason (optional)", False),)),
    "reject": Action("Reject", "Reject", "The executor can rework it.", (_reason("What has to change"),)),
    "revise": Action("Edit", "Save a new version"),
    "reopen": Action("Reopen", "Reopen", "Offered again; what was delivered stays.", (_reason(),)),
    "release": Action("Give back", "Give the task back", "Others can claim it then.", (_reason(),)),
    "fail": Action("Give up", "Mark as failed", "Closes the task.", (
        _reason(),
        Field("fault", "What was at fault", "choice", True,
              choices=(("executor", "I could not do it"), ("task", "the task cannot be done as it stands"))),
    ), grave=True),
    "cancel": Action("Cancel", "Cancel the task", "Nobody can work on it any more.", (_reason(),), grave=True),
    "archive": Action("Archive", "Archive", "Takes it off the list for good; nothing is deleted.", grave=True),
    "erase": Action("Erase", "Erase for good", "Destroys what this private task says, for everybody and for ever.", (
        Field("reason", "Reason", "text", True, "Everybody can read it.", most=2000, rows=3),
    ), grave=True),
    "comment": Action("Comment", "Comment", "", (
        Field("text", "Comment", "text", True, "Markdown. Everybody who can read the task can read it.", most=20000),
        _ATTACHMENTS,
    )),
}  # fmt: skip
"""Every command that a page offers, in the order in which it offers them."""

ESSENTIALS: Final = (
    Field("title", "Title", "line", True, "One line that says what is to be done.", most=240),
    Field("description", "Description", "text", True, most=20000, rows=12, hint=(
        "What is to be done, with all that somebody needs to know who has not been told. Markdown: **bold**, `code`,"
        " lists that begin with -, [links](https://…), tables.")),
)  # fmt: skip
ACCEPTANCE: Final = (
    Field("acceptance", "Acceptance criteria", "text", hint="One on each line: what a reviewer checks.", rows=4),
    Field("deliverables", "Deliverables", "text", rows=3, hint=(
        "One on each line: plain words, or “path | description | media type | optional”. A path, which may be a pattern"
        " like *.csv, is required of every submission unless the line says optional. After that, or instead of it:"
        " at least 10 bytes, at most 2000 bytes.")),
)  # fmt: skip
SCHEMA: Final = (
    Field("result_schema", "Schema of the result", "text", most=32768, rows=5, hint=(
        "A JSON Schema (2020-12). If there is one, every submission needs a result.json that fits it.")),
)
WORK: Final = (*ESSENTIALS, *ACCEPTANCE, *SCHEMA)
VISIBILITY: Final = Field(
    "visibility", "Who may see it", "options", hint="It cannot change later.",
    choices=_choices(Visibility, public="Everybody", private="Only its people"),
    told=(
        "Every actor of this exchange, and everybody with a clone of its ledger, for ever: it can be archived, but not"
        " taken back.",
        "You, its reviewer, whoever works on it, the readers you name, and admins. The ledger holds its words and files"
        " encrypted and shows only states, people, times, ids of tasks it waits for, and numbers and sizes of files. It"
        " can be erased for good.",
    ),
)  # fmt: skip
READERS: Final = Field("readers", "Readers", "line", hint=(
    "Of a private task: who else may read and claim it, as actors' ids separated by commas or spaces."))  # fmt: skip
GROUPS: Final = (
    Group("people", "Who does it, and who reviews", (
        Field("executor_constraints", "Who may do it", "choice", choices=_choices(
            Constraint, human_or_agent="humans and agents", human_only="humans only", agent_only="agents only")),
        Field("review", "Who reviews", "line", short="review: ", empty="review: publisher",
              hint="publisher, anyone, none (submitting approves), or an actor's id."),
    )),
    Group("time", "When, and how it is found", (
        Field("priority", "Priority", "choice", short="priority ", choices=(
            ("1", "1 – most urgent"), ("2", "2"), ("3", "3 – normal"), ("4", "4"), ("5", "5 – least urgent"))),
        Field("due_at", "Due (UTC)", "moment", short="due ", empty="no due date"),
        Field("reminder_at", "Reminder (UTC)", "moment", short="reminder "),
        Field("blocked_by", "Waits for", "line", short="waits for ",
              hint="Ids of tasks that must be approved before this one can be claimed, separated by commas or spaces."),
        Field("labels", "Labels", "line", hint="Separated by commas or spaces.", empty="no labels"),
    )),
    Group("abilities", "What it takes", (
        Field("reasoning_tier", "Reasoning needed", "choice", choices=_choices(Tier), short="reasoning: "),
        Field("browser_requirement", "Browser needed", "choice", choices=_choices(Browser), short="browser: "),
        Field("compute_requirement", "Compute needed", "choice", choices=_choices(Compute), short="compute: "),
        Field("speed_priority", "What matters more", "choice", choices=_choices(Speed)),
    )),
    Group("attempts", "Leases and attempts", (
        Field("lease_seconds", "Lease in seconds", "number", most=31536000, least=10, short="lease in seconds: ",
              empty="the usual lease", hint="How long it may be held without a sign of life. Empty: the usual."),
        Field("max_attempts", "Attempts allowed", "number", most=100, least=1, short="attempts: ",
              empty="the usual number of attempts", hint="Empty: the usual."),
    )),
    Group("origin", "Where it comes from", (
        Field("external_id", "Your own id for it", "line", most=200, short="your id: ", empty="no id of yours",
              hint="You cannot use the same one twice, and it cannot change later."),
        Field("source_url", "Source address", "line", most=2000, short="from ", empty="no source"),
    )),
)  # fmt: skip
TERMS: Final = (VISIBILITY, READERS, *(field for group in GROUPS for field in group.fields))
README: Final = Field("readme", "README", "text", hint="More to read, as Markdown. Becomes README.md.", rows=6)
INPUT: Final = (
    Field("input", "Input files", "files", hint="What the work is done on."),
    Field("input_folder", "or a folder of input", "folder"),
)
CONTEXT: Final = (
    Field("context", "Context files", "files", hint="What helps to understand it."),
    Field("context_folder", "or a folder of context", "folder"),
)
MATERIAL: Final = (README, *INPUT, *CONTEXT)
PACKAGE: Final = (
    Field("package", "Package", "file", True, "A .zip or .tar.gz with manifest.yaml, and README.md, input/, context/."),
)
_CAPABILITIES: Final = (
    Field("reasoning_tier", "Reasoning", "choice", choices=_choices(Tier)),
    Field("browser", "Browser", "choice", choices=_choices(Browser)),
    Field("compute", "Compute", "choice", choices=_choices(Compute)),
    Field("skills", "Skills", "line", hint="Separated by commas."),
)
ACTOR: Final = (
    Field("id", "Id", "line", True, "Lower-case letters, digits and hyphens; it cannot change later.", most=39),
    Field("type", "Type", "choice", True, choices=_choices(ActorType)),
    Field("name", "Name", "line", most=80),
    *_CAPABILITIES,
    Field("grants", "Standing", "choice", choices=(("", "no standing grant"), ("admin", "admin"))),
)
KEY_NAME: Final = Field("name", "What the key is for", "line", True, "For example: laptop.", most=100)
SSH_NAME: Final = Field("name", "Name", "line", True, "For example: laptop.", most=60)
SSH_KEY: Final = (
    SSH_NAME,
    Field("key", "Public key", "text", True, rows=3, hint=(
        "The one line of ~/.ssh/id_ed25519.pub. If there is no such file, ssh-keygen -t ed25519 makes one.")),
)
KEY_SINCE: Final = Field("since", "Not to be trusted from", "line", most=60, hint=(
    "A day (2026-12-01), a time in UTC (2026-12-01 14:30) or a commit of the ledger. Leave it empty if you do not know:"
    " then nothing it ever signed is trusted."))
NEW_PASSWORD: Final = Field("password", "New password", "password", True, "10 characters or more.", most=1000)
OLD_PASSWORD: Final = Field("current", "Current password", "password", True, most=1000)

ACTOR_DEFAULTS: Final = {"type": "human", "reasoning_tier": "medium", "browser": "none", "compute": "small"}
WORK_DEFAULTS: Final = {
    "executor_constraints": "human_or_agent", "review": "publisher", "visibility": "public", "priority": "3",
    "reasoning_tier": "low", "browser_requirement": "none", "compute_requirement": "tiny",
    "speed_priority": "balanced",
}  # fmt: skip

_FIELDS_OF_CODES: Final = {
    "unknown-reviewer": ("review",),
    "unknown-reader": ("readers",),
    "public-task": ("readers",),
    "unknown-dependency": ("blocked_by",),
    "circular-dependency": ("blocked_by",),
    "too-many-dependencies": ("blocked_by",),
    "duplicate-external-id": ("external_id",),
    "immutable-field": ("external_id",),
    "missing-deliverable": ("artifacts",),
    "result-mismatch": ("result",),
    "duplicate-id": ("id",),
    "duplicate-key": ("key",),
    "unknown-actor": ("actor",),
    "unknown-commit": ("since",),
    "ambiguous-id": ("since",),
    "bad-archive": ("package",),
    "bad-yaml": ("package",),
    "wrong-password": ("current", "password"),
}
_ABOUT_FILES: Final = frozenset(
    ["bad-path", "denied-file-type", "file-too-large", "too-many-files", "task-too-large"]
)


def problems(error: TaskrepoError, fields: tuple[Field, ...]) -> dict[str, str]:
    """What to say beside which field; empty if the error is about none of them."""
    said = error.message.removeprefix(f"{error.where}: ") if isinstance(error, Invalid) else error.message
    for name in _suspects(error, fields):
        if any(field.name == name for field in fields):
            return {name: said}
    return {}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A field with a mistake, for a list of links: the id of its control, its label, and what is wrong."""

    ident: str
    label: str
    said: str


def mistakes(prefix: str, errors: Mapping[str, str], fields: tuple[Field, ...]) -> list[Mistake]:
    """The fields that `errors` speaks of, in the order of the form, whose controls' ids begin with `prefix`.

    >>> mistakes("new", {"title": "is empty"}, WORK)
    [Mistake(ident='new-title', label='Title', said='is empty')]
    """
    wrong = [field for field in fields if field.name in errors]
    return [Mistake(f"{prefix}-{f.name}", f.label.removeprefix("or a "), errors[f.name]) for f in wrong]


def _suspects(error: TaskrepoError, fields: tuple[Field, ...]) -> list[str]:
    """The fields the error may be about, likeliest first."""
    named = re.split(r"[.\[,]", error.where) if isinstance(error, Invalid) else []
    told = [str(error.details.get("field", "")), str(error.details.get("path", "")).partition("/")[0]]
    files = [field.name for field in fields if field.kind in ("file", "files", "folder")]
    anywhere = files[:1] if error.code in _ABOUT_FILES else []
    return [*told, *reversed(named[:2]), *_FIELDS_OF_CODES.get(error.code, ()), *anywhere]
