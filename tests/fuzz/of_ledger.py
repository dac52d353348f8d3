"""What comes with git: commits and their messages, signatures and keys, trees and names, what is encrypted."""

import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from unicodedata import category

from cryptography.hazmat.primitives import hashes

from taskrepo import (
    attestation,
    envelope,
    guard,
    history,
    identity,
    package,
    packs,
    records,
    sealing,
    signed_request,
    signing,
    trees,
)
from taskrepo.commands import TASK_COMMANDS
from taskrepo.errors import Invalid, Refused
from taskrepo.history import Entry, Person
from taskrepo.model import Manifest, Policy, PublicKey, Stamp, Task
from tests.fuzz.harness import Harness, parts, text
from tests.support import signatures

OID, OTHER = "a1" * 20, "b2" * 20
BOB: Final = signing.Signer.of(bytes(32))
KEYS: Final = (PublicKey("laptop", BOB.public_line, BOB.fingerprint, 1),)
SECRET: Final = bytes(range(sealing.KEY_BYTES))
SEEN: Final = Task("4k7q2m9x", "draft", "alice", 1, Manifest("Count", "d"), 1, Stamp("created", "alice", 1))
WHO: Final = (Person("Bob", "bob", 1_800_000_000), Person("Exchange", "exchange", 1_800_000_001))
MESSAGES: Final = (
    history.write_message(Entry("claim", "4k7q2m9x", "Count words", "claimed", "bob", "api")),
    history.write_message(Entry(
        "claim", "4k7q2m9x", "Count words", "claimed", "bob", "git", "published", "claimed", 2, OID, "key-1", OTHER
    )),
    history.write_message(Entry("add-key", "bob", "laptop", "key-added", "admin", "cli", record="actors/bob.yaml")),
)  # fmt: skip
ASKED: Final = (
    b"claim 4k7q2m9x\n", b"progress 4k7q2m9x 60%: parser done\n", b"create 4k7q2m9x draft: Count\n",
    b"fail 4k7q2m9x task: broken\n\nTwice.\n", b"submit 4k7q2m9x\n\nAll.\n\n  * one\n", b"comment 4k7q2m9x:a: b\n\nc\n",
    b"revise 4k7q2m9x\n", b"approve 4k7q: clean work\n",
)  # fmt: skip
TREE: Final = trees.format_tree({"README.md": (0o100644, OID), "input": (0o40000, OTHER), "a": (0o100644, OTHER)})
NAMES: Final = (
    b"input/prices.csv", "input/Ünïcode/数据 (1).csv".encode(), b"README.md", b".git/config", b"git~1", b"CON.txt",
    b".g\xe2\x80\x8cit", b"a/../b", b"input/a\xcc\x88", b"C:a", b"x" * 201, b"/".join([b"d"] * 17), b"a:b", b"..",
)  # fmt: skip


def commit(data: bytes) -> None:
    """A commit object, by the ledger's grammar and by that of pushes; what is of the ledger's is written the same."""
    with suppress(Invalid):
        history.read_commit(data, pushed=True)
    read = history.read_commit(data)
    payload = history.write_payload(read.tree, read.parents, read.author, read.committer, read.message)
    assert payload == read.payload
    assert history.add_signature(payload, read.signature) == data
    message(read.message)


def message(data: bytes) -> None:
    """A commit's message, which is written to the same bytes."""
    assert history.write_message(history.read_message(data)) == data


def request(data: bytes) -> None:
    """A commit that somebody pushed."""
    read = signed_request.read(history.object_id("commit", data), data)
    assert read.words.command in TASK_COMMANDS


def words(data: bytes) -> None:
    """What a request's message asks for, the files it changes, and the command it makes of both."""
    said, *paths = parts(data, 2)
    asked = signed_request.read_words(text(said))
    changes = [
        signed_request.Change(path, None, (0o100755 if path.endswith("x") else 0o100644, OID))
        for path in text(paths[0]).split("\n") if path
    ]  # fmt: skip
    brought = signed_request.sort(asked, changes)
    signed_request.check_place(brought, asked, "4k7q2m9x", SEEN)
    manifest = Manifest("t", "d") if brought.manifest or asked.command in ("create", "revise") else None
    signed_request.command_of(asked, "4k7q2m9x", SEEN, brought, manifest=manifest, summary="", files=())


def signature(data: bytes) -> None:
    """An armored signature, as it is, and as what a well-formed armor holds."""
    with suppress(Invalid):
        signing.verify(signatures.PAYLOAD, data)
    signing.verify(signatures.PAYLOAD, signatures.armor(data))


def public_key(data: bytes) -> None:
    """A line with a public key, as it is, and as a line of any blob; what is taken is taken again the same."""
    for line in (text(data), signatures.line_of(data) if data[:3] == bytes(3) and data[4:].isascii() else ""):
        with suppress(Invalid, UnicodeDecodeError):
            kept, name = signing.parse_public_key(line)
            assert signing.parse_public_key(kept) == (kept, name)


def attested(data: bytes) -> None:
    """A signature against the keys of whoever should have made it."""
    payload, made = parts(data, 2)
    attestation.signing_key(payload, made, "bob", KEYS)


def attributes(data: bytes) -> None:
    """The `.gitattributes` of a pushed folder."""
    signed_request.check_attributes(data)


def tree(data: bytes) -> None:
    """A tree object; what is in git's order is written the same."""
    trees.first_parent(data)
    read = trees.parse_tree(data)
    assert trees.parse_tree(trees.format_tree(read)) == read


def pointer(data: bytes) -> None:
    """A Git LFS pointer."""
    if found := package.parse_pointer(data):
        assert found[1] >= 0


def names(data: bytes) -> None:
    """Paths of files, one by one and together, and the name that an upload is shown by."""
    said = data.decode("utf-8", "surrogateescape")  # as the names of files on a disk are, and those in archives
    lines = said.split("\n")
    for check in (guard.check_paths, guard.check_package_paths, guard.check_submission_paths):
        with suppress(Invalid):
            check(lines, "file")
    shown = guard.safe_name(said)
    assert shown and "/" not in shown and not any(category(char) in ("Cc", "Cs", "Zl", "Zp") for char in shown)
    checked = guard.check_path(said, "file")
    assert guard.check_path(checked, "file") == checked


def _all_names(data: bytes) -> None:
    """One long name, and as many as a package may have: whoever takes them in counts them before they are checked."""
    said = text(data)
    guard.safe_name(said)
    with suppress(Invalid):
        guard.check_path(said, "file")
    guard.check_package_paths(said.split("\n")[: Policy().max_files], "file")


def media_type(data: bytes) -> None:
    """What a file is, by its first bytes and its name."""
    name, head = parts(data, 2)
    assert "/" in guard.media_type(head, text(name))


def ids(data: bytes) -> None:
    """A task's id, or the beginning of one that somebody typed; and an idempotency key."""
    said = text(data)
    for check in (identity.check_id, identity.typed_prefix, history.check_request_id):
        with suppress(Invalid):
            check(said)


def cells(data: bytes) -> None:
    """A cell of a table, made harmless and back."""
    assert records.unguarded(records.guarded(text(data))) == text(data)


def sealed(data: bytes) -> None:
    """An encrypted text, file and manifest, which nobody made with the key."""
    with suppress(Invalid):
        sealing.open_text(SECRET, "text", text(data))
    with suppress(Invalid):
        sealing.opened(SECRET, io.BytesIO(data), len(data)).read()
    with suppress(Invalid):
        sealing.unwrap(SECRET, "4k7q2m9x", data)
    envelope.open_text(text(data), SECRET)


def pack(data: bytes) -> None:
    """A packfile and its index, of which somebody has changed bytes."""
    packs.Pack.merged([tuple(parts(data, 2))])  # type: ignore[list-item]


# ── seeds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _commits() -> Iterator[bytes]:
    for written in (*MESSAGES, *ASKED):
        for parents in ((), (OTHER,), (OID, OTHER)):
            payload = history.write_payload(OID, parents, WHO[0], WHO[0], written)
            yield history.add_signature(payload, BOB.sign(payload))


def _words() -> Iterator[bytes]:
    root = b"tasks/4/k/7/4k7q2m9x/"
    yield from ASKED
    yield ASKED[2] + b"\0|\0" + root + b"manifest.yaml\n" + root + b"input/a.csv\n" + root + b".gitattributes"
    yield ASKED[4] + b"\0|\0" + root + b"submissions/1/summary.md\n" + root + b"submissions/1/artifacts/a"
    yield ASKED[5] + b"\0|\0" + root + b"discussion/0001/a.png"


def _signatures() -> Iterator[bytes]:
    yield signatures.armor(signatures.compose(signatures.ED_KEY, signatures.ed_sign))
    yield signatures.compose(signatures.ED_KEY, signatures.ed_sign)
    yield signatures.compose(signatures.EC_KEY, signatures.ec_sign)
    rsa = signatures.rsa_sign(b"rsa-sha2-512", hashes.SHA512())
    yield signatures.compose(signatures.rsa_key(signatures.RSA), rsa)
    yield signatures.sk_ed()
    yield signatures.sk_ec()


def _keys() -> Iterator[bytes]:
    for blob in (signatures.ED_KEY, signatures.EC_KEY, signatures.rsa_key(signatures.RSA)):
        yield blob
        yield signatures.line_of(blob).encode() + b" bob@laptop"


def _sealed() -> Iterator[bytes]:
    yield sealing.seal_text(SECRET, "text", "half done").encode()
    yield sealing.Sealed(SECRET, io.BytesIO(b"x" * 100)).read(1 << 20)
    yield sealing.wrap(SECRET, "4k7q2m9x", SECRET)


def _packs() -> Iterator[bytes]:
    made = packs.Pack.of([("blob", b"hello\n"), ("tree", TREE), ("commit", next(_commits()))])
    yield made.data + b"\0|\0" + made.index


def _attested() -> Iterator[bytes]:
    yield b"payload\0|\0" + BOB.sign(b"payload")
    yield b"payload\0|\0" + signatures.armor(signatures.compose(signatures.ED_KEY, signatures.ed_sign, b"payload"))


_HEADERS: Final = (
    b"tree ", b"parent ", b"author ", b"committer ", b"gpgsig ", b"encoding UTF-7\n", b"mergetag ", b"\n\n", b"\n ",
    b"gpgsig-sha256 ", OID.encode(), b" +0000\n", b" -1200\n", b"<bob@taskrepo.invalid>", b"\x1b[2J", b"\xe2\x80\xae",
)  # fmt: skip
_TRAILERS: Final = (
    b"Task: ", b"Event: ", b"From: ", b"To: ", b"Actor: ", b"Execution: ", b"Previous: ", b"Via: ", b"Request-Id: ",
    b"Request: ", b"published", b"claimed", b"\n\n", b"0", b"-1", b"999999999999", b"Record: ",
)  # fmt: skip
_SSH: Final = (
    b"SSHSIG", b"\0\0\0\x01", b"\0\0\0\x03git", b"\0\0\0\x06sha512", b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x07ssh-rsa",
    b"\xff\xff\xff\xff", b"ecdsa-sha2-nistp256", b"sk-ssh-ed25519@openssh.com", b"rsa-sha2-512", b"\0\0\0\0",
    signatures.BEGIN, signatures.END,
)  # fmt: skip

HARNESSES: Final = (
    Harness("commit", commit, _commits, _HEADERS + _TRAILERS),
    Harness("message", message, lambda: MESSAGES, _TRAILERS),
    Harness("request", request, _commits, _HEADERS),
    Harness("words", words, _words, (b"tasks/4/k/7/4k7q2m9x/", b": ", b"%", b"\n\n", b"\0|\0", b"submissions/1/")),
    Harness("signature", signature, _signatures, _SSH),
    Harness("public-key", public_key, _keys, _SSH),
    Harness("attested", attested, _attested, _SSH),
    Harness("attributes", attributes, lambda: (package.attributes(["a/b c.bin", "x"]), b"# a\n\n"),
            (b" filter=lfs diff=lfs merge=lfs -text\n", b"\r", b"\\", b'"', b"[attr]")),
    Harness("tree", tree, lambda: (TREE, b""), (b"100644 ", b"40000 ", b"120000 ", b"160000 ", b"\0", b"\0" * 20),
            parse=trees.parse_tree),
    Harness("pointer", pointer, lambda: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 1048576\n",),
        (b"oid sha256:", b"size ", b"-1", b"99999999999999999999", b"ext-0-", b"\r\n")),
    Harness("names", names, lambda: (*NAMES, b"\n".join(NAMES)),
            (b"/", b"\n", b"\xe2\x80\x8d", b"\xef\xbc\x8e", b".git", b"~1", b":", b"\xed\xa0\x80", b"\xcc\x88", b"nul"),
            parse=_all_names),
    Harness("media-type", media_type, lambda: (b"a.csv\0|\0a,b\n", b"a.zip\0|\0PK\3\4", b"x.sh\0|\0#!/bin/sh\n"),
            (b"\0|\0", b"%PDF-", b"PK\3\4", b"\x7fELF", b"MZ", b"<html>", b"<?xml", b"{\\rtf", b"RIFF", b"\x1f\x8b")),
    Harness("ids", ids, lambda: (b"4k7q2m9x", b"4K7Q", b"key-1"), (b"o", b"l", b"i", b"u", b" ", b"\xc4\xb0")),
    Harness("cells", cells,  lambda: (b"=1+1; -2", b"'=1", b"a\tb", b"-1"),
        (b"=", b"'", b";", b"\t", b",", b"@", b"+"),
            parse=lambda data: records.guarded(text(data[:1000]))),  # longer no field of a commit is
    Harness("sealed", sealed, _sealed, (b"sealed:1:",)),
    Harness("pack", pack, _packs, (b"PACK", b"\xfftOc", b"\0\0\0\2"), (Invalid, Refused)),
)  # fmt: skip
