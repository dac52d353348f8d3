"""The grammar of commits and their messages, against everything that is not of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo import history
from taskrepo.commands import (
    AddActor,
    Ask,
    ChangeActor,
    Claim,
    Command,
    DirectoryCommand,
    Fail,
    Found,
    Progress,
    Reject,
    SetPolicy,
    Submit,
)
from taskrepo.errors import Invalid
from taskrepo.events import Event
from taskrepo.history import Entry, Person
from taskrepo.model import Actor, Manifest, Policy, Stamp, Task
from taskrepo.signing import Signer, verify

OID, OTHER = "a1" * 20, "b2" * 20
ENTRY = Entry("claim", "4k7q2m9x", "Count words", "claimed", "bob", "api")
FULL = Entry(
    "claim", "4k7q2m9x", "Count words", "claimed", "bob", "git", "published", "claimed", 2, OID, "key-1", OTHER
)
PEOPLE = Person("Bob", "bob", 1_800_000_000), Person("Exchange", "exchange", 1_800_000_001)
TASK = Task("4k7q2m9x", "draft", "alice", 1, Manifest("Count words", "d"), 1, Stamp("created", "alice", 1))


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_as_the_design_shows_it() -> None:
    """Subject, blank line, trailers in their order."""
    assert history.write_message(FULL).decode() == (
        "claim 4k7q2m9x: Count words\n\n"
        "Task: 4k7q2m9x\nEvent: claimed\nFrom: published\nTo: claimed\nActor: bob\nExecution: 2\n"
        f"Previous: {OID}\nVia: git\nRequest-Id: key-1\nRequest: {OTHER}\n"
    )


ids = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=8, max_size=8)
names = st.from_regex(r"[a-z][a-z0-9-]{0,38}", fullmatch=True)
oids = st.text("0123456789abcdef", min_size=40, max_size=40)
states: Any = st.sampled_from([None, "draft", "published", "archived"])
words = st.text(max_size=120).map(history.clean_line)
task_entries: Any = st.builds(
    Entry, st.sampled_from(["claim", "add-key"]), ids, words, st.sampled_from(["claimed", "key-added"]), names,
    st.sampled_from(["web", "api", "mcp", "a2a", "cli", "git", "exchange"]), states, states,
    st.none() | st.integers(1, 200), st.none() | oids, st.none() | st.text("!~aZ09:", min_size=1, max_size=200),
    st.none() | oids,
)  # fmt: skip
record_entries = st.builds(
    lambda entry, about: replace(entry, subject=about, record=history.record_path(about)), task_entries, names
)


@given(task_entries | record_entries)
def test_messages_survive(entry: Entry) -> None:
    """A message reads back as it was, but for words cut to the subject's length; and is written the same again."""
    written = history.write_message(entry)
    back = history.read_message(written)
    assert replace(back, words="") == replace(entry, words="")
    assert back.words == entry.words or (back.words.endswith("…") and entry.words.startswith(back.words[:-1]))
    assert history.write_message(back) == written
    assert len(written.decode().split("\n")[0]) <= history.SUBJECT_LENGTH
    assert back.task == (None if entry.record else entry.subject)


GOOD = history.write_message(FULL).decode()
BAD_MESSAGES = {
    "empty": "",
    "no trailers": "claim 4k7q2m9x\n\n",
    "no blank line": GOOD.replace("\n\n", "\n"),
    "no final newline": GOOD[:-1],
    "a line more": GOOD + "\n",
    "an unknown trailer": GOOD + "Signed-off-by: bob\n",
    "a trailer twice": GOOD.replace("Event: claimed\n", "Event: claimed\nEvent: claimed\n"),
    "trailers out of order": GOOD.replace("Event: claimed\nFrom: published\n", "From: published\nEvent: claimed\n"),
    "carriage returns": GOOD.replace("\n", "\r\n"),
    "a carriage return in the words": GOOD.replace("words\n", "words\r\n", 1),
    "a body": GOOD.replace("\n\n", "\n\nHello.\n\n"),
    "a control character": GOOD.replace("Count words", "Count\x1b[2J"),
    "a NUL": GOOD.replace("Count words", "Count\x00"),
    "a subject too long": GOOD.replace("Count words", "x" * 60),
    "another task in the trailer": GOOD.replace("Task: 4k7q2m9x", "Task: 00000000"),
    "another record": "add-key bob\n\nRecord: actors/eve.yaml\nEvent: key-added\nActor: bob\nVia: api\n",
    "a record of the policy's name": "add-key policy\n\nRecord: actors/policy.yaml\nEvent: e\nActor: bob\nVia: api\n",
    "neither task nor record": GOOD.replace("Task: 4k7q2m9x\n", ""),
    "task and record": GOOD.replace("Event:", "Record: policy.yaml\nEvent:", 1),
    "no event": GOOD.replace("Event: claimed\n", ""),
    "no actor": GOOD.replace("Actor: bob\n", ""),
    "no door": GOOD.replace("Via: git\n", ""),
    "an unknown door": GOOD.replace("Via: git", "Via: window"),
    "an unknown state": GOOD.replace("To: claimed", "To: heaven"),
    "execution zero": GOOD.replace("Execution: 2", "Execution: 0"),
    "an execution padded": GOOD.replace("Execution: 2", "Execution: 02"),
    "a short commit": GOOD.replace(OID, OID[:-1]),
    "an upper-case commit": GOOD.replace(OID, OID.upper()),
    "an upper-case actor": GOOD.replace("Actor: bob", "Actor: Bob"),
    "a path for a record": "add-key bob\n\nRecord: actors/../bob.yaml\nEvent: key-added\nActor: bob\nVia: api\n",
    "a space in the request id": GOOD.replace("key-1", "key 1"),
    "a Unicode digit": GOOD.replace("Execution: 2", "Execution: ２"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_strange_messages_are_refused(name: str) -> None:
    """Whatever is not of the grammar to the letter is refused."""
    with pytest.raises(Invalid) as caught:
        history.read_message(BAD_MESSAGES[name].encode())
    assert caught.value.code == "bad-message"


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: (GOOD + t).encode("utf-8", "replace")))
def test_any_message_is_read_or_refused(data: bytes) -> None:
    """Any bytes are a message that writes the same again, or `Invalid`."""
    try:
        entry = history.read_message(data)
    except Invalid:
        return
    assert history.write_message(entry) == data


@pytest.mark.parametrize("text", ["", "a b", "ä", "x" * 201, "a\n", "a\x7f"])
def test_request_ids(text: str) -> None:
    """An idempotency key is visible ASCII of bounded length."""
    with pytest.raises(Invalid) as caught:
        history.check_request_id(text)
    assert (caught.value.code, caught.value.where) == ("bad-request-id", "Idempotency-Key")
    assert caught.value.message == "Idempotency-Key: must be 1 to 200 visible ASCII characters without spaces"
    assert history.check_request_id("x" * 200) == "x" * 200


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Claim("4k7q2m9x"), "Count words"),
        (Progress("4k7q2m9x", 1, 60, "parser\tdone"), "60% parser done"),
        (Progress("4k7q2m9x", 1, None, "note"), "note"),
        (Progress("4k7q2m9x", 1, 60), "60%"),
        (Submit("4k7q2m9x", 1, "\nAll\x1b counted\nand more"), "All counted"),
        (Reject("4k7q2m9x", "wrong\nbecause"), "wrong"),
        (Reject("4k7q2m9x", "first\nsecond\nthird"), "first"),
        (Ask("4k7q2m9x", "Which?\u202e"), "Which?"),
        (Fail("4k7q2m9x", 1, "broken"), "broken"),
    ],
)
def test_the_words_of_a_subject(command: Command, words: str) -> None:
    """A subject tells what was said, on one clean line, or the task's title."""
    event = Event(command, "bob", 9, "published", "claimed", 1)
    entry = history.entry_of(event, TASK, TASK, via="web", previous=OID, request_id="r")
    assert entry == Entry(
        command.name, "4k7q2m9x", words, command.event, "bob", "web", "published", "claimed", 1, OID, "r"
    )


def test_a_private_task_says_nothing_in_its_subject() -> None:
    """A log is for everybody. A merged request is named by its commit."""
    secret = replace(TASK, manifest=replace(TASK.manifest, visibility="private"))
    event = Event(Reject("4k7q2m9x", "wrong"), "bob", 9, "published", "claimed", 1)
    entry = history.entry_of(event, secret, secret, via="git", previous=OID, request_id=None, request=OTHER)
    assert (entry.words, entry.request) == ("", OTHER)


@pytest.mark.parametrize(
    ("command", "words", "record"),
    [
        (AddActor("eve", "human", "Eve"), "Eve", "actors/eve.yaml"),
        (ChangeActor("eve", active=False), "", "actors/eve.yaml"),
        (SetPolicy("policy", Policy()), "", "policy.yaml"),
        (Found("exchange", "k", "f", "admin", "Ada", Policy()), "", "actors/exchange.yaml"),
    ],
)
def test_entries_of_the_directory(command: DirectoryCommand, words: str, record: str) -> None:
    """A change of the directory names its record, and no task."""
    entry = history.entry_of(Event(command, "admin", 9), None, None, via="cli", previous=None, request_id=None)
    assert (entry.words, entry.record, entry.task) == (words, record, None)
    assert history.read_message(history.write_message(entry)) == entry


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada Lovelace", "Ada Lovelace"), ("Eve <root@here>", "Eve root@here"), (" \n ", "ada"), ("<>", "ada"),
        ("a\nauthor Mallory <m@x> 1 +0000", "a author Mallory m@x 1 +0000"), ("R.", "R"), ("\u202e\u200b", "ada"),
        ("Xaver X", "Xaver X"), ("(X)", "(X)"),
    ],
)  # fmt: skip
def test_people(name: str, shown: str) -> None:
    """No name can break out of its header, and one that is nothing but tricks becomes the id."""
    made = history.person(Actor("ada", "human", name), 7)
    assert made.line() == f"{shown} <ada@taskrepo.invalid> 7 +0000"


# ── commits ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SIGNER = Signer.of(bytes(range(32)))
MESSAGE = history.write_message(ENTRY)
PAYLOAD = history.write_payload(OID, (OTHER,), *PEOPLE, MESSAGE)
RAW = history.add_signature(PAYLOAD, SIGNER.sign(PAYLOAD))
SIGNATURE = RAW[RAW.index(b"gpgsig ") : RAW.index(b"-----END SSH SIGNATURE-----\n") + 28]


@pytest.mark.parametrize("parents", [(), (OTHER,), (OTHER, OID)])
def test_commits_survive(parents: tuple[str, ...]) -> None:
    """A commit reads back whole, and what its signature covers is exactly what was signed."""
    payload = history.write_payload(OID, parents, *PEOPLE, MESSAGE)
    commit = history.read_commit(history.add_signature(payload, SIGNER.sign(payload)))
    assert (commit.tree, commit.parents, commit.author, commit.committer) == (OID, parents, *PEOPLE)
    assert (commit.message, commit.payload) == (MESSAGE, payload)
    assert commit.signature.strip() == SIGNER.sign(payload).strip()
    assert verify(commit.payload, commit.signature) == SIGNER.public_line


def _swap(old: bytes, new: bytes) -> bytes:
    assert RAW.count(old) >= 1
    return RAW.replace(old, new, 1)


BAD_COMMITS = {
    "empty": b"",
    "unsigned": PAYLOAD,
    "two signatures": _swap(SIGNATURE, SIGNATURE + SIGNATURE),
    "a signature of the other hash": _swap(b"gpgsig ", b"gpgsig-sha256 "),
    "a PGP signature": RAW.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
    "text within the signature": _swap(b"SIGNATURE-----\n ", b"SIGNATURE-----\n hello world\n "),
    "an empty signature": _swap(SIGNATURE, b"gpgsig -----BEGIN SSH SIGNATURE-----\n -----END SSH SIGNATURE-----\n"),
    "an empty line after the signature": _swap(SIGNATURE, SIGNATURE + b" \n"),
    "an unknown header": _swap(b"gpgsig ", b"note x\ngpgsig "),
    "an unknown header after": _swap(b"-----END SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\nnote x\n"),
    "an encoding": _swap(b"gpgsig ", b"encoding latin-1\ngpgsig "),
    "a merge tag": _swap(b"gpgsig ", b"mergetag object x\n x\ngpgsig "),
    "a NUL in the message": RAW + b"\x00hidden",
    "a NUL in a name": _swap(b"Bob", b"Bo\x00b"),
    "a second author": _swap(b"committer", b"author Eve <eve@taskrepo.invalid> 1 +0000\ncommitter"),
    "a second committer": _swap(b"gpgsig", b"committer Eve <eve@taskrepo.invalid> 1 +0000\ngpgsig"),
    "no tree": RAW[46:],
    "two trees": RAW[:46] + RAW,
    "a short tree": _swap(OID.encode(), OID[:-1].encode()),
    "an upper-case tree": _swap(OID.encode(), OID.upper().encode()),
    "three parents": _swap(b"author", b"parent %b\nparent %b\nauthor" % (OID.encode(), OID.encode())),
    "carriage returns": RAW.replace(b"\n", b"\r\n"),
    "a carriage return in the author": _swap(b"+0000\ncommitter", b"+0000\r\ncommitter"),
    "another time zone": _swap(b"+0000", b"+0100"),
    "a negative date": _swap(b"1800000000", b"-1"),
    "a padded date": _swap(b"1800000000", b"01800000000"),
    "a date beyond the calendar": _swap(b"1800000000", b"999999999999"),
    "no date": _swap(b" 1800000000", b""),
    "a foreign address": _swap(b"taskrepo.invalid", b"example.org"),
    "an upper-case id": _swap(b"<bob@", b"<Bob@"),
    "no name": _swap(b"Bob <", b"<"),
    "an angle in the name": _swap(b"Bob", b"B<b"),
    "a tab in the name": _swap(b"Bob", b"B\tb"),
    "a name that is not UTF-8": _swap(b"Bob", b"B\xffb"),
    "huge": RAW + b"x" * history.MAX_COMMIT,
    "headers after the message": _swap(b"author", b"\nauthor"),
    "trailing space in a header": _swap(OTHER.encode(), OTHER.encode() + b" "),
}


@pytest.mark.parametrize("name", BAD_COMMITS)
def test_hostile_commits_are_refused(name: str) -> None:
    """Whatever git would read in another way than the signature covers, or at all differently, is refused."""
    with pytest.raises(Invalid) as caught:
        history.read_commit(BAD_COMMITS[name])
    assert caught.value.code == "bad-commit"


HEADERS = "commit: has headers other than tree, parent, author, committer and one gpgsig"
SAID = {
    "empty": HEADERS,
    "huge": HEADERS,
    "a NUL in the message": HEADERS,
    "another time zone": "author: is not `Name <actor@taskrepo.invalid> seconds +0000`",
    "a name that is not UTF-8": "author: is not `Name <actor@taskrepo.invalid> seconds +0000`",
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_wrong_with_a_commit_is_said(name: str) -> None:
    """The header that is not as it must be, and how that is."""
    with pytest.raises(Invalid) as caught:
        history.read_commit(BAD_COMMITS[name])
    assert (caught.value.where, caught.value.message) == (SAID[name].partition(":")[0], SAID[name])


def test_who_pushes_may_be_in_any_time_zone() -> None:
    """What is wrong all the same is said without one."""
    there = history.read_commit(BAD_COMMITS["another time zone"], pushed=True)
    assert there.author == PEOPLE[0]
    with pytest.raises(Invalid) as caught:
        history.read_commit(_swap(b"committer Exchange <", b"committer Exchange <@"), pushed=True)
    assert caught.value.message == "committer: is not `Name <actor@taskrepo.invalid> seconds zone`"


def test_a_commit_has_a_longest() -> None:
    """One byte more is refused."""
    room = history.MAX_COMMIT - len(RAW)
    assert history.read_commit(RAW + b"x" * room).message == MESSAGE + b"x" * room
    with pytest.raises(Invalid):
        history.read_commit(RAW + b"x" * (room + 1))


def test_a_signature_ends_with_its_last_line() -> None:
    """However many line ends its maker left after it, and whatever letter it ends with."""
    made = SIGNER.sign(PAYLOAD)
    assert history.add_signature(PAYLOAD, made.rstrip(b"\n") + b"\n\n") == RAW
    assert b"gpgsig abcX\n\n" in history.add_signature(PAYLOAD, b"abcX\n")


def test_lines_of_a_signature_have_a_longest() -> None:
    """Seventy letters, as its armor has them; one more is refused."""
    place = RAW.index(b"SIGNATURE-----\n ") + len(b"SIGNATURE-----\n ")
    end = RAW.index(b"\n", place)
    assert end - place == 70
    longer = RAW[:end] + RAW[end + 2 : end + 3] + b"\n " + RAW[end + 3 :]
    with pytest.raises(Invalid) as caught:
        history.read_commit(longer)
    assert (caught.value.code, caught.value.where) == ("bad-commit", "gpgsig")


def test_only_who_pushes_breaks_lines_otherwise() -> None:
    """The exchange's own signatures have lines of one length; those of pushed commits are as their signers like."""
    head, _, rest = RAW.partition(b"SIGNATURE-----\n ")
    body, _, tail = rest.partition(b"\n -----END")
    letters = body.replace(b"\n ", b"")
    lines = [letters[at : at + 76] for at in range(0, len(letters), 76)]
    raw = head + b"SIGNATURE-----\n " + b"\n ".join(lines) + b"\n -----END" + tail
    with pytest.raises(Invalid, match="has lines of more than 70 characters"):
        history.read_commit(raw)
    assert history.read_commit(raw, pushed=True).payload == PAYLOAD


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_missed(place: int, flip: int) -> None:
    """Any byte of a commit changed is refused, or breaks the signature; nothing lies outside what is signed."""
    changed = RAW[:place] + bytes([RAW[place] ^ flip]) + RAW[place + 1 :]
    try:
        commit = history.read_commit(changed)
        verify(commit.payload, commit.signature)
    except Invalid:
        return
    raise AssertionError(f"byte {place} can be changed")


def test_object_ids() -> None:
    """Ids are those git gives."""
    assert history.object_id("blob", b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert history.object_id("tree", b"") == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
