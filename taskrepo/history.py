"""Commit ⇄ event: the grammar of the ledger's commit objects and messages.

* A commit has exactly one `tree`, at most one `parent` (two for a notarised push), one `author`, one `committer` and
  one `gpgsig`, in this order and no other header; anything else is refused, so a signature covers all that git reads.
* A message is a subject of at most 72 characters, a blank line, and trailers in a fixed order.
* `write_message` of what `read_message` returns gives the same bytes.

>>> print(write_message(Entry("claim", "4k7q2m9x", "Count words", "claimed", "bob", "api")).decode())
claim 4k7q2m9x: Count words
<BLANKLINE>
Task: 4k7q2m9x
Event: claimed
Actor: bob
Via: api
<BLANKLINE>
"""

import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Final, get_args

from taskrepo.commands import Command, Progress, Submit
from taskrepo.errors import Invalid
from taskrepo.events import Event
from taskrepo.model import STATES, Actor, Door, State, Task

SUBJECT_LENGTH: Final = 72
MAX_COMMIT: Final = 64 * 1024
DOMAIN: Final = "taskrepo.invalid"  # RFC 2606: can never receive mail

_OID: Final = "[0-9a-f]{40}"
_REQUEST_ID: Final = re.compile(r"[!-~]{1,200}")
_TRAILERS: Final = (
    ("Task", "[0-9a-hjkmnp-tv-z]{8}"),
    ("Record", r"(?:actors/[a-z][a-z0-9-]{0,38}\.yaml|policy\.yaml)"),
    ("Event", "[a-z-]{1,40}"),
    ("From", "|".join(STATES)),
    ("To", "|".join(STATES)),
    ("Actor", "[a-z][a-z0-9-]{0,38}"),
    ("Execution", "[1-9][0-9]{0,5}"),
    ("Previous", _OID),
    ("Via", "|".join(get_args(Door))),
    ("Request-Id", _REQUEST_ID.pattern),
    ("Request", _OID),
)
_MESSAGE: Final = re.compile(
    r"(?P<command>[a-z-]{1,20}) (?P<subject>[a-z0-9-]{1,40})(?:: (?P<words>[^\x00-\x1f\x7f]+))?\n\n"
    + "".join(f"(?:{name}: (?P<{name.replace('-', '_').lower()}>{form})\n)?" for name, form in _TRAILERS)
)
_COMMIT: Final = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40})\n"
    rb"(?P<parents>(?:parent [0-9a-f]{40}\n){0,2})"
    rb"author (?P<author>[^\n]*)\n"
    rb"committer (?P<committer>[^\n]*)\n"
    rb"gpgsig (?P<signature>-----BEGIN SSH SIGNATURE-----\n(?: [A-Za-z0-9+/=]{1,76}\n)+ -----END SSH SIGNATURE-----\n)"
    rb"\n(?P<message>.*)",
    re.DOTALL,
)
_COLUMNS: Final = 70  # of the exchange's own signatures; other signers break their lines elsewhere
_PERSON: Final = re.compile(
    r"(?P<name>[^<>\x00-\x1f\x7f]+) <(?P<id>[a-z][a-z0-9-]{0,38})@taskrepo\.invalid>"
    r" (?P<at>0|[1-9][0-9]{0,10}) (?P<zone>[+-][0-9]{4})"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a commit message says. `record` is set instead of `task` for changes of actors and policy."""

    command: str
    subject: str
    words: str
    event: str
    actor: str
    via: Door
    source: State | None = None
    target: State | None = None
    execution: int | None = None
    previous: str | None = None
    request_id: str | None = None
    request: str | None = None
    record: str | None = None

    @property
    def task(self) -> str | None:
        """The id of the task it is about, if it is about one."""
        return None if self.record else self.subject


@dataclass(frozen=True, slots=True)
class Person:
    """An author or committer: an actor's name and id, and the time in Unix seconds."""

    name: str
    id: str
    at: int

    def line(self) -> str:
        """As a commit header has it."""
        return f"{self.name} <{self.id}@{DOMAIN}> {self.at} +0000"


@dataclass(frozen=True, slots=True)
class Commit:
    """A parsed commit object. `payload` is what the signature covers: the object without its `gpgsig` header."""

    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: bytes
    signature: bytes
    payload: bytes


def entry_of(
    event: Event, before: Task | None, after: Task | None, *, via: Door, previous: str | None, request_id: str | None,
    request: str | None = None,
) -> Entry:  # fmt: skip
    """What the ledger says about `event`; `before` and `after` are the task around it, if it is a task's.

    `request` is the commit by which its actor asked for it, if it was pushed.
    """
    command = event.command
    record = None
    if not isinstance(command, Command):
        record = record_path(command.about)
    return Entry(
        command.name,
        event.subject,
        _words(event, after),
        event.name,
        event.actor,
        via,
        event.source,
        event.target,
        event.execution,
        previous,
        request_id,
        request,
        record,
    )


def record_path(about: str) -> str:
    """The file of the directory that a change of `about` (an actor's id, or `policy`) concerns."""
    return "policy.yaml" if about == "policy" else f"actors/{about}.yaml"


def person(actor: Actor, at: int) -> Person:
    """The actor as an author or committer."""
    name = "".join(c for c in clean_line(actor.name) if c not in "<>").strip(" .,:;\"'\\")
    return Person(name or actor.id, actor.id, at)


def clean_line(text: str) -> str:
    """`text` on one line without control, format or unassigned characters: safe in a log and on a terminal."""
    printable = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(printable.split())


def check_request_id(text: str, where: str = "Idempotency-Key") -> str:
    """An idempotency key as the ledger can hold it. Raises `Invalid`."""
    if not _REQUEST_ID.fullmatch(text):
        raise Invalid("bad-request-id", where, "must be 1 to 200 visible ASCII characters without spaces")
    return text


def write_message(entry: Entry) -> bytes:
    """The commit message."""
    subject = f"{entry.command} {entry.subject}"
    room = SUBJECT_LENGTH - len(subject) - 2
    words = _shorten(entry.words, room)
    lines = [f"{subject}: {words}" if words else subject, ""]
    values = (
        entry.task, entry.record, entry.event, entry.source, entry.target, entry.actor, entry.execution,
        entry.previous, entry.via, entry.request_id, entry.request,
    )  # fmt: skip
    lines += [f"{name}: {value}" for (name, _), value in zip(_TRAILERS, values, strict=True) if value is not None]
    return ("\n".join(lines) + "\n").encode()


def read_message(message: bytes) -> Entry:
    """The entry in a commit message. Raises `Invalid("bad-message")`."""
    try:
        match = _MESSAGE.fullmatch(message.decode())
    except UnicodeDecodeError:
        match = None
    if match is None:
        raise Invalid("bad-message", "message", "is not of the ledger's grammar")
    got: dict[str, Any] = match.groupdict()
    if None in (got["event"], got["actor"], got["via"]) or (got["task"] is None) == (got["record"] is None):
        raise Invalid("bad-message", "message", "lacks a trailer: Task or Record, Event, Actor and Via are required")
    if (got["task"] or got["record"]) not in (got["subject"], record_path(got["subject"])):
        raise Invalid("bad-message", "message", "names one thing in its subject and another in its trailer")
    if len(match[0].partition("\n")[0]) > SUBJECT_LENGTH:
        raise Invalid("bad-message", "message", f"has a subject of more than {SUBJECT_LENGTH} characters")
    return Entry(
        got["command"], got["subject"], got["words"] or "", got["event"], got["actor"], got["via"], got["from"],
        got["to"], int(got["execution"]) if got["execution"] else None, got["previous"], got["request_id"],
        got["request"], got["record"],
    )  # fmt: skip


def write_payload(tree: str, parents: tuple[str, ...], author: Person, committer: Person, message: bytes) -> bytes:
    """The commit object without its signature: what gets signed."""
    people = f"author {author.line()}", f"committer {committer.line()}"
    heads = [f"tree {tree}", *(f"parent {p}" for p in parents), *people]
    return ("\n".join(heads) + "\n\n").encode() + message


def add_signature(payload: bytes, signature: bytes) -> bytes:
    """The commit object: `payload` with the armored signature as its `gpgsig` header."""
    heads, _, message = payload.partition(b"\n\n")
    header = b"gpgsig " + signature.rstrip(b"\n").replace(b"\n", b"\n ")
    return heads + b"\n" + header + b"\n\n" + message


def read_commit(raw: bytes, *, pushed: bool = False) -> Commit:
    """The commit in a raw object. Raises `Invalid("bad-commit")` for anything the ledger's grammar does not have.

    One that somebody `pushed` may be of any time zone, and its signature broken into lines as its signer likes.
    """
    # Git itself stops reading a message at a NUL: what follows would be signed, yet shown to nobody.
    match = _COMMIT.fullmatch(raw) if len(raw) <= MAX_COMMIT and b"\x00" not in raw else None
    if match is None:
        raise Invalid("bad-commit", "commit", "has headers other than tree, parent, author, committer and one gpgsig")
    start, end = match.span("signature")
    if not pushed and any(len(line) > _COLUMNS + 1 for line in raw[start:end].split(b"\n")):
        raise Invalid("bad-commit", "gpgsig", f"has lines of more than {_COLUMNS} characters")
    payload = raw[: start - len(b"gpgsig ")] + raw[match.start("message") - 1 :]
    return Commit(
        match["tree"].decode(),
        tuple(re.findall(_OID, match["parents"].decode())),
        _read_person(match["author"], "author", pushed),
        _read_person(match["committer"], "committer", pushed),
        match["message"],
        raw[start:end].replace(b"\n ", b"\n"),
        payload,
    )


def object_id(kind: str, data: bytes) -> str:
    """The id git gives an object of this kind (`blob`, `tree`, `commit`): SHA-1 over header and content."""
    return sha1(f"{kind} {len(data)}\x00".encode() + data, usedforsecurity=False).hexdigest()


def _read_person(line: bytes, where: str, pushed: bool) -> Person:
    try:
        match = _PERSON.fullmatch(line.decode())
    except UnicodeDecodeError:
        match = None
    if match is None or (match["zone"] != "+0000" and not pushed):
        zone = "zone" if pushed else "+0000"
        raise Invalid("bad-commit", where, f"is not `Name <actor@{DOMAIN}> seconds {zone}`")
    return Person(match["name"], match["id"], int(match["at"]))


def _words(event: Event, after: Task | None) -> str:
    command = event.command
    if after is not None and after.manifest.private:
        return ""  # what a private task says is for its readers, and a log is for everybody
    if isinstance(command, Progress):
        percent = f"{command.percent}%" if command.percent is not None else ""
        return clean_line(f"{percent} {command.note}")
    said = command.summary if isinstance(command, Submit) else _said(command)
    if said:
        return clean_line(said.strip().split("\n", 1)[0])
    return clean_line(after.manifest.title) if after else clean_line(getattr(command, "label", "") or "")


def _said(command: object) -> str:
    return str(getattr(command, "reason", "") or getattr(command, "text", ""))


def _shorten(words: str, room: int) -> str:
    return words if len(words) <= room else words[: room - 1].rstrip() + "…"
