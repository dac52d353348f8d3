"""Whole commits against stock git: whatever is accepted here as signed, `git verify-commit` accepts.

Commits are signed by keys of every kind, then bent at random. `TASKREPO_TEST_TORTURE=deep` bends ten thousand.
"""

import os
import random
import subprocess
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes

from taskrepo import signed_request
from taskrepo.errors import Invalid
from taskrepo.history import add_signature, object_id
from taskrepo.signing import verify
from tests.support.clones import ENVIRONMENT, git
from tests.support.pens import lay
from tests.support.signatures import (
    EC_KEY,
    ED_KEY,
    ED_RAW,
    RSA,
    SK_ED,
    armor,
    compose,
    ec_sign,
    ed_sign,
    line_of,
    rsa_key,
    rsa_sign,
    s,
    sk_ed,
)

DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
COMMITS: Final = 10_000 if DEEP else 600
PARTS: Final = 20
KEYS: Final = (
    (ED_KEY, ed_sign), (EC_KEY, ec_sign), (rsa_key(RSA), rsa_sign(b"rsa-sha2-512", hashes.SHA512())),
)  # fmt: skip
FIDO: Final = s(SK_ED) + s(ED_RAW) + s(b"ssh:")


def good(chance: random.Random) -> bytes:
    """A well-signed commit of a random shape."""
    zone = f"{chance.choice('+-')}{chance.randrange(15):02}{chance.choice((0, 30, 45)):02}"
    person = f"bob <bob@taskrepo.invalid> {1_700_000_000 + chance.randrange(10**8)} {zone}"
    words = "".join(chance.choice("abc äß数🙂-:%#") for _ in range(chance.randrange(40)))
    heads = f"tree {chance.randbytes(20).hex()}\nparent {chance.randbytes(20).hex()}\n"
    body = f"comment 4k7q2m9x: {words}\n" + "\nmore\n" * chance.randrange(2)
    payload = f"{heads}author {person}\ncommitter {person}\n\n{body}".encode()
    key, sign = chance.choice(KEYS)
    digest = chance.choice((b"sha256", b"sha512"))
    return add_signature(payload, armor(compose(key, sign, payload, digest=digest), chance.choice((70, 76, 64))))


def bent(chance: random.Random, raw: bytes) -> bytes:
    """The commit with something done to it."""
    at, lines = chance.randrange(len(raw)), raw.split(b"\n")
    which = chance.randrange(len(lines))
    header = chance.choice((b"encoding UTF-7", b"x-a 1", b"gpgsig x", lines[which], b"parent " + b"1" * 40))
    ways = (
        lambda: raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :],
        lambda: raw[:at] + raw[at + 1 :],
        lambda: raw[:at] + bytes([chance.randrange(256)]) + raw[at:],
        lambda: raw[:at] + raw[at : at + 40].swapcase() + raw[at + 40 :],
        lambda: b"\n".join([*lines[:which], *lines[which + 1 :]]),
        lambda: b"\n".join([*lines[:which], lines[which], *lines[which:]]),
        lambda: b"\n".join([*lines[:which], header, *lines[which:]]),
        lambda: raw.replace(b"\n ", chance.choice((b"\n  ", b"\r\n ", b" \n ", b"\n\t")), chance.choice((1, -1))),
        lambda: raw[:at],
        lambda: raw + raw[at:],
    )
    return chance.choice(ways)()


def accepted(raw: bytes) -> bool:
    """Whether the door would say that a key signed it."""
    try:
        request = signed_request.read(object_id("commit", raw), raw)
        verify(request.commit.payload, request.commit.signature)
    except Invalid:
        return False
    return True


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose git knows every key."""
    folder = tmp_path_factory.mktemp("judge")
    lines = [line_of(key) for key in (*(key for key, _ in KEYS), FIDO)]
    (folder / "allowed").write_text("".join(f'bob namespaces="git" {line}\n' for line in lines))
    git(folder, "init", "--quiet", "--bare", "r.git")
    git(folder / "r.git", "config", "gpg.format", "ssh")
    git(folder / "r.git", "config", "gpg.ssh.allowedSignersFile", folder / "allowed")
    return folder / "r.git"


def refused_by_git(judge: Path, commits: list[bytes]) -> list[bytes]:
    """Those of the commits that `git verify-commit` does not accept; it is asked about many at once."""
    ids = {object_id("commit", raw): raw for raw in commits}
    lay(judge / "objects", {oid: ("commit", raw) for oid, raw in ids.items()})

    def fine(oids: list[str]) -> bool:
        words = ["git", "-C", str(judge), "verify-commit", *oids]
        return subprocess.run(words, capture_output=True, env=ENVIRONMENT, check=False).returncode == 0

    return [] if not ids or fine(list(ids)) else [raw for oid, raw in ids.items() if not fine([oid])]


@pytest.mark.parametrize("part", range(PARTS if DEEP else 2))
def test_what_is_accepted_git_accepts(judge: Path, part: int) -> None:
    """Bent commits that still count as signed here count for git too; unbent ones always do, for both."""
    chance = random.Random(part)
    taken = []
    for number in range(COMMITS // (PARTS if DEEP else 2)):
        raw = good(chance)
        if number % 12 == 0:
            assert accepted(raw)
        else:
            raw = bent(chance, raw)
        if accepted(raw):
            taken.append(raw)
    assert taken
    assert refused_by_git(judge, taken) == []


def test_git_takes_more_than_is_taken_here(judge: Path) -> None:
    """The judge is no rubber stamp: it refuses a spoilt commit, and accepts one with a second signature."""
    raw = good(random.Random(7))
    spoilt = raw[:-1] + b"!\n"
    assert refused_by_git(judge, [spoilt]) == [spoilt]
    assert not accepted(spoilt)


def test_a_security_key_s_commit_is_good_for_both(judge: Path) -> None:
    """A FIDO signature over the commit's own bytes."""
    payload = b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\n"
    person = b"bob <bob@taskrepo.invalid> 1700000000 +0000\n"
    payload += b"author " + person + b"committer " + person + b"\nclaim 4k7q2m9x\n"
    raw = add_signature(payload, armor(sk_ed(payload=payload)))
    assert accepted(raw)
    assert refused_by_git(judge, [raw]) == []
