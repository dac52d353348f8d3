"""Who signed a pushed commit: bad signatures, other people's names, keys that no longer count, and replays.

Every key here is a real one and signs what is said to be signed; each case differs from a good request in one thing.
"""

import base64
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha512
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from taskrepo.commands import AddActor, AddKey, ChangeActor, RetireKey
from taskrepo.exchange import Exchange
from taskrepo.history import add_signature, read_commit
from taskrepo.reception import Reception
from taskrepo.signing import Signer, parse_public_key
from taskrepo.verify import verify
from tests.support.ledgers import made, task_of
from tests.support.pens import Asked, Outlet, Pen, key_of, stand
from tests.support.signatures import (
    BEGIN,
    EC,
    EC_KEY,
    ED_KEY,
    ED_RAW,
    END,
    RSA,
    RSA_WEAK,
    SK_ED,
    armor,
    compose,
    ec_sign,
    ed_sign,
    line_of,
    mpint,
    rsa_key,
    rsa_sign,
    s,
    sk_ed,
)

SHA1, SHA512 = hashes.SHA1(), hashes.SHA512()
Scene = tuple[Exchange, Pen, str]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An exchange, with keys of every kind for bob, and a task that he may claim."""
    where = tmp_path_factory.mktemp("signatures")
    with Exchange(made(where)) as exchange, Reception(exchange):
        exchange.govern(AddActor("frank", "human", "Frank"), "admin", via="cli")
        pen = Pen(exchange, where, "alice", "bob", "frank")
        sk = s(SK_ED) + s(ED_RAW) + s(b"ssh:")
        for name, blob in {"ed": ED_KEY, "ec": EC_KEY, "rsa": rsa_key(RSA), "sk": sk}.items():
            line, fingerprint = parse_public_key(line_of(blob))
            exchange.govern(AddKey("bob", name, line, fingerprint), "bob", via="cli")
        exchange.govern(ChangeActor("frank", active=False), "admin", via="cli")
        yield exchange, pen, task_of(exchange)


def under(pen: Pen, task: str, sign: Callable[[bytes], bytes]) -> Asked:
    """Bob's claim with a signature of whatever kind; `sign` makes it from the payload."""
    good = pen.ask("bob", f"claim {task}")
    payload = read_commit(good.raw(), pushed=True).payload
    return pen.raw(add_signature(payload, sign(payload)), good.tree)


def test_good_signatures_of_every_kind_are_taken(scene: Scene) -> None:
    """What the bad ones are made from is good: all of bob's keys are heard, in a rehearsal."""
    _, pen, task = scene
    for key, sign in ((ED_KEY, ed_sign), (EC_KEY, ec_sign), (rsa_key(RSA), rsa_sign(b"rsa-sha2-512", SHA512))):
        for columns in (70, 76, 64):
            asked = under(pen, task, partial(_armored, key, sign, columns))
            assert pen.rehearse(asked).verdict == "ok"


def _armored(key: bytes, sign: Callable[[bytes], bytes], columns: int, payload: bytes) -> bytes:
    return armor(compose(key, sign, payload), columns)


def over(*, key: bytes = ED_KEY, sign: Callable[[bytes], bytes] = ed_sign, **odd: object) -> Callable[[bytes], bytes]:
    """A signature over the payload that is odd in one part of its envelope."""
    return lambda payload: armor(compose(key, sign, payload, **odd))  # type: ignore[arg-type]


def rebuilt(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A good signature whose blob was changed."""
    return lambda payload: armor(change(compose(ED_KEY, ed_sign, payload)))


def retold(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A good signature whose armor was changed."""
    return lambda payload: change(armor(compose(ED_KEY, ed_sign, payload)))


DSA = s(b"ssh-dss") + mpint(3) * 4
CERTIFICATE = s(b"ssh-ed25519-cert-v01@openssh.com") + s(bytes(32)) + ED_KEY[15:]
BAD: dict[str, Callable[[bytes], bytes]] = {
    # the envelope
    "namespace file": over(namespace=b"file"),
    "namespace empty": over(namespace=b""),
    "namespace in capitals": over(namespace=b"GIT"),
    "namespace with a NUL": over(namespace=b"git\0"),
    "version 0": over(version=0),
    "version 2": over(version=2),
    "another magic": over(magic=b"SSHSIH"),
    "reserved not empty": over(reserved=b"x"),
    "hash SHA-1": over(digest=b"sha1"),
    "hash MD5": over(digest=b"md5"),
    "hash in capitals": over(digest=b"SHA512"),
    "trailing bytes": over(after=b"\0"),
    "much after it": over(after=bytes(9_000)),
    "the last byte cut": rebuilt(lambda blob: blob[:-1]),
    "cut in half": rebuilt(lambda blob: blob[: len(blob) // 2]),
    "only the magic": lambda _: armor(b"SSHSIG"),
    "a length past the end": rebuilt(lambda blob: blob[:10] + b"\xff\xff\xff\xff" + blob[14:]),
    "one bit flipped": rebuilt(lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])),
    # the armor
    "base64 without its padding": retold(lambda text: text.replace(b"=", b"")),
    "extra base64": retold(lambda text: text.replace(END, b"AAAA\n" + END)),
    "an empty armor": lambda _: BEGIN + END,
    "an extra line end": retold(lambda text: text.replace(END, b"\n" + END)),
    "two blocks": retold(lambda text: text + text),
    "text after": retold(lambda text: text + b"more\n"),
    "text before": retold(lambda text: b"more\n" + text),
    "CRLF": retold(lambda text: text.replace(b"\n", b"\r\n")),
    "a space at a line's end": retold(lambda text: text.replace(b"\n", b" \n", 2)),
    "PGP's armor": retold(lambda text: text.replace(b"SSH SIGNATURE", b"PGP SIGNATURE")),
    "another case": retold(lambda text: text.replace(b"BEGIN", b"Begin")),
    "lines of 60": lambda payload: armor(compose(ED_KEY, ed_sign, payload), 60),
    "one long line": lambda payload: armor(compose(ED_KEY, ed_sign, payload), 10_000),
    "raw, not armored": lambda payload: base64.b64encode(compose(ED_KEY, ed_sign, payload)),
    "base64 with other bits": retold(lambda text: text.replace(b"=\n" + END, b"\n" + END)),
    # what is signed, and by which key
    "another payload": lambda payload: armor(compose(ED_KEY, ed_sign, payload + b" ")),
    "another commit": lambda payload: armor(compose(ED_KEY, ed_sign, payload.replace(b"claim", b"start"))),
    "nothing": lambda _: armor(compose(ED_KEY, ed_sign, b"")),
    "the digest of the payload": lambda payload: armor(compose(ED_KEY, ed_sign, sha512(payload).digest())),
    "RSA with SHA-1": over(key=rsa_key(RSA), sign=rsa_sign(b"ssh-rsa", SHA1)),
    "RSA with SHA-1 called SHA-512": over(key=rsa_key(RSA), sign=rsa_sign(b"rsa-sha2-512", SHA1)),
    "RSA of 1024 bits": over(key=rsa_key(RSA_WEAK), sign=rsa_sign(b"rsa-sha2-512", SHA512, RSA_WEAK)),
    "RSA under an Ed25519 key": over(sign=rsa_sign(b"rsa-sha2-512", SHA512)),
    "Ed25519 under an RSA key": over(key=rsa_key(RSA)),
    "ECDSA under an Ed25519 key": over(sign=ec_sign),
    "DSA": over(key=DSA),
    "a certificate": over(key=CERTIFICATE),
    "no key": over(key=b""),
    "trailing bytes in the key": over(key=ED_KEY + b"\0"),
    "trailing bytes in the signature": over(sign=lambda data: ed_sign(data) + b"\0"),
    "a FIDO key without its user": lambda _: armor(sk_ed(flags=0)),
    "a FIDO key for a web site": lambda _: armor(sk_ed(application=b"https://example.com")),
}
ARMOR = ("bad-commit", "bad-signature")


def test_there_are_enough_of_them() -> None:
    """At least forty."""
    assert len(BAD) >= 40


def test_bad_signatures_are_refused(scene: Scene) -> None:
    """Each of them, and nothing is left of any."""
    exchange, pen, task = scene
    before = stand(exchange)
    heard = {case: pen.push(under(pen, task, sign)).verdict for case, sign in BAD.items()}
    assert {case: verdict for case, verdict in heard.items() if verdict not in ARMOR} == {}
    assert stand(exchange) == before


def test_a_bad_signature_is_refused_by_stock_git_s_way_too(scene: Scene, tmp_path: Path) -> None:
    """Git carries it to the door, which says the same."""
    exchange, pen, task = scene
    before = stand(exchange)
    assert Outlet.of(exchange, tmp_path).push(under(pen, task, BAD["namespace file"])).verdict == "bad-signature"
    assert stand(exchange) == before


# ── whose name, whose key ───────────────────────────────────────────────────────────────────────────────────────────


def test_somebody_else_s_name_is_refused(scene: Scene) -> None:
    """In the name or the address, of the author, the committer or both; whoever signs must be both."""
    exchange, pen, task = scene
    root, head, before = exchange.snapshot().root, str(exchange.store.head()), stand(exchange)
    bob, alice = "bob <bob@taskrepo.invalid>", "alice <alice@taskrepo.invalid>"
    for name, committer, code in (
        (alice, None, "wrong-key"),
        (alice, bob, "bad-commit"),
        (bob, alice, "bad-commit"),
        ("alice <bob@taskrepo.invalid>", None, "wrong-author"),
        ("bob <alice@taskrepo.invalid>", None, "wrong-author"),
        ("admin <bob@taskrepo.invalid>", None, "wrong-author"),
        ("exchange <bob@taskrepo.invalid>", None, "wrong-author"),
        ("Bob <bob@taskrepo.invalid>", bob, "bad-commit"),
        ("BOB <bob@taskrepo.invalid>", None, "wrong-author"),
        ("b\u043eb <bob@taskrepo.invalid>", None, "wrong-author"),
        ("bob  <bob@taskrepo.invalid>", None, "wrong-author"),
        (" bob <bob@taskrepo.invalid>", None, "wrong-author"),
        ("bob\u200b <bob@taskrepo.invalid>", None, "wrong-author"),
        ("Bob (alice) <bob@taskrepo.invalid>", None, "wrong-author"),
        ("bob <b\u043eb@taskrepo.invalid>", None, "bad-commit"),
        ("bob <BOB@taskrepo.invalid>", None, "bad-commit"),
        ("bob <bob@taskrepo.invalid.example>", None, "bad-commit"),
        ("bob <bob+alice@taskrepo.invalid>", None, "bad-commit"),
        ("bob <bob@taskrepo.invalid> <alice@x>", None, "bad-commit"),
        ("zed <zed@taskrepo.invalid>", None, "unknown-actor"),
        ("exchange <exchange@taskrepo.invalid>", None, "exchange-only"),
    ):  # fmt: skip
        asked = pen.commit("bob", f"claim {task}", root, (head,), name=name, committer=committer)
        assert (name, committer, pen.push(asked).verdict) == (name, committer, code)
    assert stand(exchange) == before


def test_the_name_in_the_ledger_is_a_name_too(scene: Scene) -> None:
    """Whoever is Bob to the ledger may be called so by their git."""
    _, pen, task = scene
    root, head = pen.exchange.snapshot().root, str(pen.exchange.store.head())
    asked = pen.commit("bob", f"claim {task}", root, (head,), name="Bob <bob@taskrepo.invalid>")
    assert pen.rehearse(asked).verdict == "ok"


def test_strangers_and_the_suspended_are_refused(scene: Scene) -> None:
    """An actor nobody knows, one who was suspended, and a key that was never registered."""
    exchange, pen, task = scene
    before = stand(exchange)
    assert pen.push(pen.ask("zed", f"claim {task}")).verdict == "unknown-actor"
    assert pen.push(pen.ask("frank", f"claim {task}")).verdict == "actor-suspended"
    assert pen.push(pen.ask("carol", f"claim {task}")).verdict == "wrong-key"
    assert pen.push(pen.ask("bob", f"claim {task}", key=key_of("zed"))).verdict == "wrong-key"
    assert pen.push(pen.ask("bob", f"claim {task}", key=key_of("alice"))).verdict == "wrong-key"
    assert stand(exchange) == before


def test_the_exchange_s_own_signature_does_not_come_by_push(scene: Scene, tmp_path: Path) -> None:
    """Its real key, under its own name or another's, by the door and by stock git."""
    exchange, pen, task = scene
    own, before = Signer.load(exchange.config.signing_key), stand(exchange)
    named = pen.ask("exchange", f"claim {task}", key=own)
    assert pen.push(named).verdict == "exchange-only"
    assert pen.push(pen.ask("bob", f"claim {task}", key=own)).verdict == "wrong-key"
    assert pen.push(pen.ask("admin", f"claim {task}", key=own)).verdict == "wrong-key"
    assert Outlet.of(exchange, tmp_path).push(named).verdict == "exchange-only"
    # A commit that would be the ledger's next, to the byte, is no request either.
    head, root = str(exchange.store.head()), exchange.snapshot().root
    trailers = f"Task: {task}\nEvent: claimed\nFrom: published\nTo: claimed\nActor: bob\nVia: api\n"
    message, notary = f"claim {task}: Count\n\n{trailers}", "Exchange <exchange@taskrepo.invalid>"
    forged = pen.commit("bob", message, root, (head,), key=own, committer=notary)
    assert pen.push(forged).verdict == "bad-commit"
    assert stand(exchange) == before


def test_a_retired_key_stays_retired_whatever_the_date(scene: Scene) -> None:
    """A commit dated before the key was retired, on a parent of that time, is refused all the same."""
    exchange, pen, task = scene
    old = Signer.of(b"o" * 32)
    exchange.govern(AddKey("bob", "old", old.public_line, old.fingerprint), "bob", via="cli")
    parent, at = str(exchange.store.head()), int(time.time()) - 3600
    assert pen.rehearse(pen.ask("bob", f"claim {task}", key=old)).verdict == "ok"
    waiting = pen.ask("bob", f"claim {task}", key=old)
    exchange.govern(RetireKey("bob", old.fingerprint), "bob", via="cli")
    before = stand(exchange)
    for asked in (waiting, pen.ask("bob", f"claim {task}", key=old, at=at),
                  pen.ask("bob", f"claim {task}", on=parent, key=old, at=at)):  # fmt: skip
        assert pen.push(asked).verdict == "retired-key"
    assert stand(exchange) == before


def test_a_push_has_one_author_where_the_door_knows_who_pushes(scene: Scene) -> None:
    """Nobody carries another's request, also not among their own."""
    exchange, pen, task = scene
    before, asked = stand(exchange), pen.ask("bob", f"claim {task}")
    assert pen.push(asked, pusher="alice").verdict == "foreign-request"
    mixed = pen.ask("alice", f"comment {task}: hi", on=asked)
    assert pen.push(mixed, pusher="alice").verdict == "foreign-request"
    assert pen.push(mixed, pusher="bob").verdict == "foreign-request"
    assert stand(exchange) == before


# ── replays ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_request_is_not_taken_again(scene: Scene) -> None:
    """Not as it was, nor before others, nor under another signature that anybody can make of the one they saw."""
    exchange, pen, task = scene
    first = under_comment(pen, task, ed_sign, ED_KEY)
    assert pen.push(first).verdict == "ok"
    payload = read_commit(first.raw(), pushed=True).payload
    rewrapped = pen.raw(add_signature(payload, armor(compose(ED_KEY, ed_sign, payload), 76)), first.tree)
    assert rewrapped.id != first.id
    by_ec = under_comment(pen, task, ec_sign, EC_KEY)
    assert pen.push(by_ec).verdict == "ok"
    ec_payload = read_commit(by_ec.raw(), pushed=True).payload
    mirrored = pen.raw(add_signature(ec_payload, armor(compose(EC_KEY, ec_mirrored, ec_payload))), by_ec.tree)
    assert mirrored.id != by_ec.id
    before = stand(exchange)
    for replay in (first, rewrapped, by_ec, mirrored, pen.ask("bob", f"comment {task}: more", on=rewrapped)):
        assert pen.push(replay).verdict == "nothing-to-change"
    assert stand(exchange) == before
    assert verify(exchange.config.repository).problem is None


def ec_mirrored(data: bytes) -> bytes:
    """An ECDSA signature with the other of the two numbers that are as good."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, t = utils.decode_dss_signature(EC.sign(data, ec.ECDSA(hashes.SHA256())))
    return s(b"ecdsa-sha2-nistp256") + s(mpint(r) + mpint(order - t))


def under_comment(pen: Pen, task: str, sign: Callable[[bytes], bytes], key: bytes) -> Asked:
    """Bob's comment, signed by one of his keys."""
    good = pen.ask("bob", f"comment {task}: hello")
    payload = read_commit(good.raw(), pushed=True).payload
    return pen.raw(add_signature(payload, armor(compose(key, sign, payload))), good.tree)


def test_the_same_request_twice_at_once_is_taken_once(scene: Scene) -> None:
    """Two pushes that wait for the same turn, one of which brings the other's request along."""
    exchange, pen, task = scene
    first = pen.ask("bob", f"comment {task}: at once")
    both = pen.ask("bob", f"comment {task}: and then", on=first)
    count = exchange.snapshot().task(task).discussion
    heard = together(lambda: pen.push(first).verdict, lambda: pen.push(both).verdict, lambda: pen.push(first).verdict)
    assert set(heard) <= {"ok", "nothing-to-change"}
    assert exchange.snapshot().task(task).discussion - count in (1, 2)
    assert verify(exchange.config.repository).problem is None


def together(*calls: Callable[[], str]) -> list[str]:
    """What the calls return that are made at one time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_a_refused_request_may_be_pushed_again(scene: Scene) -> None:
    """What was refused was never part of the history; it is judged again, by what its author saw."""
    exchange, pen, _ = scene
    mine = task_of(exchange)
    early = pen.ask("bob", f"start {mine}")
    assert pen.push(early).verdict == "wrong-state"
    assert pen.push(pen.ask("bob", f"claim {mine}")).verdict == "ok"
    assert pen.push(early).verdict == "ok"
    assert pen.push(pen.ask("bob", f"submit {mine}: one")).verdict == "ok"
    hasty = pen.ask("bob", f"approve {mine}: my own")
    assert pen.push(hasty).verdict == "not-reviewer"
    assert verify(exchange.config.repository).problem is None
