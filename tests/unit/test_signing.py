"""What `taskrepo.signing` reads, writes and refuses, without foreign tools."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
from hypothesis import example, given
from hypothesis import strategies as st

from taskrepo import signing
from taskrepo.errors import Invalid
from taskrepo.signing import KEY_TYPES, MAX_BYTES, Signer, parse_public_key, verify
from tests.support.signatures import (
    BEGIN,
    EC,
    EC_KEY,
    EC_POINT,
    ED_KEY,
    ED_RAW,
    END,
    PAYLOAD,
    RSA,
    RSA_WEAK,
    SK_EC,
    SK_ED,
    armor,
    blob_of,
    compose,
    ec_pair,
    ec_sign,
    ed_sign,
    line_of,
    mpint,
    rsa_key,
    rsa_sign,
    s,
    sk_ec,
    sk_ed,
    touched,
)

SIGNER = Signer.of(bytes(range(32)))
LINE = SIGNER.public_line
P = 2**255 - 19


@pytest.fixture(autouse=True)
def afresh() -> None:
    """No test gets by with a key that another one has read."""
    signing._load_key.cache_clear()


def public(kind: str, *parts: bytes) -> str:
    return line_of(s(kind.encode()) + b"".join(parts))


def ed25519(y: int) -> str:
    return public("ssh-ed25519", s(y.to_bytes(32, "little")))


def rsa(e: int, n: int) -> str:
    return public("ssh-rsa", mpint(e), mpint(n))


def why_bad(line: str) -> str:
    with pytest.raises(Invalid) as refused:
        parse_public_key(line)
    assert (refused.value.code, refused.value.where) == ("bad-public-key", "key")
    return refused.value.message


def short(case: object) -> str:
    """What a test is called by: some keys and signatures are other ones each time."""
    return case[:30] if isinstance(case, str) else type(case).__name__


ONE_LINE = "a public key is one line: its type, its base64 and perhaps a comment"
SECRET = "this is a private key: keep it secret, and give the line of the `.pub` file beside it"
OPTIONS = "options before the key's type are not accepted"
TYPES = (
    "the key's type must be one of ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, "
    "ecdsa-sha2-nistp521, sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com"
)
NUMBERS = "its RSA numbers are not those of a key"
SIGN = "a number in it is zero or negative"
ZEROS = "a number in it has needless leading zeros"
CURVE = "its curve is not the one its type names"
FORM = "its curve point is not in uncompressed form"
SMALL = "its Ed25519 point has small order"
MALFORMED = "its Ed25519 point is malformed"
TRAILING = "it has trailing bytes"
SHORT = "it is cut short"
TYPE = "its key is of a type that is not accepted"
APPLICATION = "its application is not `ssh:`"
LONG = "its key is too long"
ODD = 2**2047 + 1  # an RSA modulus as far as anybody can see


def test_base64_with_stray_bits_is_refused() -> None:
    """Two spellings of one signature would be two commits: the unused bits of the last character must be zero."""
    good = public("ssh-rsa", mpint(65537), mpint(2**2055 + 1))
    assert good.endswith("=")
    bare = good.rstrip("=")
    stray = chr(ord(bare[-1]) + 1) + "=" * (len(good) - len(bare))
    assert "not canonical" in why_bad(bare[:-1] + stray)


def test_signing_is_repeatable_and_verifies() -> None:
    """One key and one payload give one signature, and it names the key that made it."""
    assert SIGNER.sign(b"words") == SIGNER.sign(b"words")
    assert verify(b"words", SIGNER.sign(b"words")) == LINE
    assert "Ed25519PrivateKey" not in repr(SIGNER)


def test_the_signature_is_read_with_or_without_its_last_newline() -> None:
    """A commit header carries the block without its final newline; both forms are the same signature."""
    assert verify(b"words", SIGNER.sign(b"words").removesuffix(b"\n")) == LINE


@pytest.mark.parametrize("columns", [64, 70, 76])
def test_the_line_lengths_of_known_signers_are_accepted(columns: int) -> None:
    """ssh-keygen breaks at 70 columns, the specification says 76, signers with a PEM library break at 64."""
    begin, *lines, end = SIGNER.sign(b"words").splitlines()
    text = b"".join(lines)
    broken = [text[at : at + columns] for at in range(0, len(text), columns)]
    assert verify(b"words", b"\n".join((begin, *broken, end))) == LINE


@given(st.binary(max_size=400), st.binary(max_size=50))
@example(SIGNER.sign(b""), b"other")
def test_hostile_bytes_are_only_ever_invalid(armored: bytes, payload: bytes) -> None:
    """No bytes make `verify` raise anything but `Invalid`."""
    with pytest.raises(Invalid):
        verify(payload, armored)


@given(st.data())
def test_any_changed_byte_spoils_a_signature(data: st.DataObject) -> None:
    """No single byte of the armored block can be changed."""
    good = SIGNER.sign(b"words")
    at = data.draw(st.integers(0, len(good) - 2))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[at]))
    with pytest.raises(Invalid):
        verify(b"words", good[:at] + bytes([changed]) + good[at + 1 :])


@given(st.binary(max_size=200), st.sampled_from(KEY_TYPES))
def test_hostile_envelopes_are_only_ever_invalid(tail: bytes, kind: str) -> None:
    """A block that starts well and goes on as noise is `Invalid`, whatever key type it claims."""
    key = s(kind.encode()) + tail
    text = base64.b64encode(b"SSHSIG" + bytes((0, 0, 0, 1)) + s(key) + s(b"git") + s(b"") + s(b"sha512") + s(tail))
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    with pytest.raises(Invalid):
        verify(b"", b"\n".join((b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b"")))


@given(st.text(max_size=100))
def test_hostile_key_lines_are_only_ever_invalid(text: str) -> None:
    """No text makes `parse_public_key` raise anything but `Invalid`."""
    for line in (text, f"ssh-ed25519 {text}", f"ssh-rsa AAAA{text}"):
        with pytest.raises(Invalid):
            parse_public_key(line)


def test_a_pasted_key_is_reduced_to_type_and_base64() -> None:
    """Comment, tabs, blanks and the final newline go; the rest is canonical, and its fingerprint that of the signer."""
    kind, text = LINE.split()
    for pasted in (LINE, f"{LINE} me@host with words\n", f"  {kind}\t{text}  c \r\n"):
        assert parse_public_key(pasted) == (LINE, SIGNER.fingerprint)
    assert SIGNER.fingerprint.startswith("SHA256:")
    assert len(SIGNER.fingerprint) == 50


@pytest.mark.parametrize(("line", "why"), [
    ("", ONE_LINE), (" \n", ONE_LINE), (f"{LINE}\n{LINE}", ONE_LINE), (f"{LINE} \0", ONE_LINE),
    (LINE.ljust(MAX_BYTES + 1, "x"), ONE_LINE), (LINE.ljust(MAX_BYTES + 1), ONE_LINE),
    ("x" * MAX_BYTES + "PRIVATE KEY", ONE_LINE), ("x" * (MAX_BYTES - 11) + "PRIVATE KEY", SECRET),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", SECRET), ("-----BEGIN RSA PRIVATE KEY-----", SECRET),
    ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate Key", SECRET),
    (f'command="ls" {LINE}', OPTIONS), (f"no-pty {LINE}", OPTIONS), (f"no-pty a b c {LINE}", OPTIONS),
    ("ssh-ed25519-cert-v01@openssh.com AAAA", "this is a certificate; give the plain public key"),
    ("ssh-dss AAAA", TYPES), ("words", TYPES), (public("ssh-dss", mpint(3)), TYPES),
    ("ssh-ed25519", SHORT), ("ssh-ed25519 AAAA", SHORT), (public("ssh-ed25519", bytes(3)), SHORT),
    (public("ssh-ed25519", s(bytes(32))[:-1]), SHORT),
    (f"{LINE}AAAA", TRAILING), (public("ssh-rsa", mpint(3), mpint(ODD), b"\0"), TRAILING),
    (f"ssh-ed25519 {line_of(s(b'ssh-dss')).split()[1]}", TYPE),
    (f"ssh-ed25519 {base64.b64encode(s(bytes([0xFF]))).decode()}", TYPE),
    (LINE.replace("ssh-ed25519", "ssh-rsa"), "its type is not the one inside its base64"),
    (public("ssh-ed25519", s(bytes(31))), MALFORMED), (public("ssh-ed25519", s(b"\2" + bytes(32))), MALFORMED),
    (ed25519(P), MALFORMED), (ed25519(2**255 - 1), MALFORMED), (ed25519(P + 1 | 1 << 255), MALFORMED),
    (ed25519(2), "its Ed25519 point is not on the curve"),
    (public("ssh-ed25519", s(bytes(32)), b"\0"), SMALL), (ed25519(P - 1), SMALL),
    (rsa(65537, 2**2046 + 1), "an RSA key needs 2048 to 16384 bits; this one has 2047"),
    (rsa(65537, 2**16384 + 1), "an RSA key needs 2048 to 16384 bits; this one has 16385"),
    (rsa(65537, 2**2047), NUMBERS), (rsa(65536, ODD), NUMBERS), (rsa(1, ODD), NUMBERS), (rsa(2, ODD), NUMBERS),
    (rsa(2**32, ODD), NUMBERS), (rsa(2**32 + 1, ODD), NUMBERS),
    (public("ssh-rsa", s(b""), mpint(ODD)), SIGN), (public("ssh-rsa", s(b"\x81"), mpint(ODD)), SIGN),
    (public("ssh-rsa", s(b"\x80"), mpint(ODD)), SIGN), (public("ssh-rsa", mpint(3), s(b"\xff" * 256)), SIGN),
    (public("ssh-rsa", s(b"\0\x03"), mpint(ODD)), ZEROS), (public("ssh-rsa", s(b"\0\x7f"), mpint(ODD)), ZEROS),
    (public("ssh-rsa", s(b"\0"), mpint(ODD)), ZEROS), (public("ssh-rsa", s(b"\0\0\x81"), mpint(ODD)), ZEROS),
    (public("ssh-rsa", mpint(3), mpint(2**40_000)), LONG), (line_of(s(b"ssh-rsa").ljust(4097, b"\0")), LONG),
    (line_of(s(b"ssh-rsa").ljust(4096, b"\0")), SIGN),
    (public("ecdsa-sha2-nistp256", s(b"nistp384"), s(b"\x04" + bytes(96))), CURVE),
    (public("ecdsa-sha2-nistp256", s(b""), s(EC_POINT)), CURVE),
    (public("ecdsa-sha2-nistp256", s(b"p256"), s(EC_POINT)), CURVE),
    (public("ecdsa-sha2-nistp256", s(b"sha2-nistp256"), s(EC_POINT)), CURVE),
    (public(SK_EC.decode(), s(b"ecdsa-sha2-nistp256"), s(EC_POINT), s(b"ssh:")), CURVE),
    (public(SK_EC.decode(), s(b"nistp521"), s(EC_POINT), s(b"ssh:")), CURVE),
    (public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"\x02" + EC_POINT[1:33])), FORM),
    (public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"")), FORM),
    *((public(SK_ED.decode(), s(ED_RAW), s(odd)), APPLICATION) for odd in (b"web", b"", b"ssh:\0")),
    (public(SK_EC.decode(), s(b"nistp256"), s(EC_POINT), s(b"SSH:")), APPLICATION),
    (public(SK_EC.decode(), s(b"nistp256"), s(EC_POINT)), SHORT),
    (public(SK_ED.decode(), s(ED_RAW), s(b"ssh:"), b"\0"), TRAILING),
], ids=short)  # fmt: skip
def test_a_line_that_is_no_usable_public_key_is_refused_in_words(line: str, why: str) -> None:
    """Every way a pasted key can be wrong has its own words."""
    assert why_bad(line) == f"key: {why}"


@pytest.mark.parametrize("line", [
    "ssh-ed25519 ****", "ssh-ed25519 kéy", LINE[:-1], f"ssh-ed25519 {LINE.split()[1][:-4]}===",
    public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"\x04" + bytes(64))),
    public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"\x04" + bytes(3))),
    public("ecdsa-sha2-nistp384", s(b"nistp384"), s(EC_POINT)),
], ids=short)  # fmt: skip
def test_what_a_library_finds_wrong_with_a_key_is_told_too(line: str) -> None:
    """Broken base64 and points off their curve are refused in the words of who decodes them."""
    assert len(why_bad(line)) > len("key: ")


@pytest.mark.parametrize("line", [
    rsa(3, ODD), rsa(2**32 - 1, ODD), rsa(65537, 2**16383 + 1), rsa(2**31 + 1, 2**16384 - 1),
    public(SK_ED.decode(), s(ED_RAW), s(b"ssh:")), public(SK_EC.decode(), s(b"nistp256"), s(EC_POINT), s(b"ssh:")),
    line_of(EC_KEY), line_of(ED_KEY),
], ids=short)  # fmt: skip
def test_every_other_kind_of_key_is_taken(line: str) -> None:
    """RSA to the limits of its size and its exponent, the curves and the security keys are read as they stand."""
    assert parse_public_key(f"{line} a comment".ljust(MAX_BYTES)) == (line, parse_public_key(line)[1])


# ── signatures of every kind ────────────────────────────────────────────────────────────────────────────────────────

CURVES = {
    256: (EC, hashes.SHA256()),
    384: (ec.derive_private_key(0x7654321, ec.SECP384R1()), hashes.SHA384()),
    521: (ec.derive_private_key(0x1357913, ec.SECP521R1()), hashes.SHA512()),
}
MISMATCH = "it does not match the content and the key it names"
BLOCK = "it is not one armored block"
BROKEN = "its lines are not broken as ssh-keygen breaks them"
VERSION = "it is not an SSHSIG of version 1"
SPACE = "its namespace is not `git`"
RESERVED = "its reserved field is not empty"
HASH = "its hash is neither sha256 nor sha512"
ALGORITHM = "its algorithm is not one for its key"
ABSENT = "the security key signed without its user being present"
SHA256, SHA512 = hashes.SHA256(), hashes.SHA512()
PSS = padding.PSS(padding.MGF1(SHA512), 64)
SK_KEY = s(SK_ED) + s(ED_RAW) + s(b"ssh:")
CUBIC = s(b"ssh-rsa") + mpint(3) + mpint(RSA.public_key().public_numbers().n)


def block(key: bytes, sign: Callable[[bytes], bytes], **odd: Any) -> bytes:
    return armor(compose(key, sign, **odd))


GOOD = block(ED_KEY, ed_sign)


def ecdsa(bits: int, inner: hashes.HashAlgorithm | None = None, **odd: bytes) -> bytes:
    """A block signed with a key on a NIST curve, over the curve's own digest or another."""
    private, own = CURVES[bits]
    kind = f"ecdsa-sha2-nistp{bits}".encode()
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )

    def sign(data: bytes) -> bytes:
        pair = utils.decode_dss_signature(private.sign(data, ec.ECDSA(inner or own)))
        return s(kind) + s(b"".join(map(mpint, pair)))

    return block(s(kind) + s(kind.removeprefix(b"ecdsa-sha2-")) + s(point), sign, **odd)


def rsa_made(sign: Callable[[bytes], bytes], **odd: bytes) -> bytes:
    return block(rsa_key(RSA), sign, **odd)


def ec_made(pair: Callable[[bytes], bytes]) -> bytes:
    return block(EC_KEY, lambda data: s(b"ecdsa-sha2-nistp256") + s(pair(data)))


def sk_made(tail: bytes, signed: bytes = b"\1\0\0\0\7") -> bytes:
    """A block of a security key: after its signature, which is over flags and counter `signed`, comes `tail`."""
    def sign(data: bytes) -> bytes:
        whole = touched(data, b"ssh:", signed[0])[0]
        return s(SK_EC) + s(ec_pair(whole)) + tail

    return block(s(SK_EC) + s(b"nistp256") + s(EC_POINT) + s(b"ssh:"), sign)


@pytest.mark.parametrize("armored", [
    GOOD, block(ED_KEY, ed_sign, digest=b"sha256"),
    *(rsa_made(rsa_sign(b"rsa-sha2-256", SHA256), digest=digest) for digest in (b"sha256", b"sha512")),
    *(rsa_made(rsa_sign(b"rsa-sha2-512", SHA512), digest=digest) for digest in (b"sha256", b"sha512")),
    *(ecdsa(bits, digest=digest) for bits in CURVES for digest in (b"sha256", b"sha512")),
    *(armor(made(flags=flags)) for made in (sk_ed, sk_ec) for flags in (0x01, 0x05, 0xFF)), sk_made(b"\1\0\0\0\7"),
], ids=short)  # fmt: skip
def test_every_kind_of_key_signs_what_verifies(armored: bytes) -> None:
    """Each accepted kind with either hash is good for its bytes, names its key, and is good for no other bytes."""
    blob = base64.b64decode(b"".join(armored.splitlines()[1:-1]))[10:]
    assert verify(PAYLOAD, armored) == line_of(blob[4 : 4 + int.from_bytes(blob[:4], "big")])
    with pytest.raises(Invalid) as refused:
        verify(PAYLOAD + b"\n", armored)
    assert refused.value.message == f"signature: {MISMATCH}"


@pytest.mark.parametrize(("armored", "why"), [
    (b"", BLOCK), (BEGIN + END, BLOCK), (bytes(MAX_BYTES), BLOCK), (bytes(MAX_BYTES + 1), "it is longer than 16 KiB"),
    (GOOD + b"\n", BLOCK), (b"\n" + GOOD, BLOCK), (GOOD.removesuffix(END), BLOCK), (GOOD.removeprefix(BEGIN), BLOCK),
    (GOOD.replace(b"BEGIN", b"begin"), BLOCK), (GOOD.replace(b"END", b"end"), BLOCK), (GOOD + GOOD, BROKEN),
    (GOOD.replace(b"\n", b"\r\n"), BLOCK), (BEGIN + b"\n" + END, BROKEN), (armor(b"x" * 99, 71), BROKEN),
    (armor(b"SSHSIG"), SHORT), (armor(b"SSHSIG\0\0\0\1"), SHORT), (BEGIN + b"AAAB\nAAAA\n" + END, BROKEN),
    (BEGIN + b"AB==\n" + END, "its base64 is not canonical"),
    (block(ED_KEY, ed_sign, magic=b"SSHSIH"), VERSION), (block(ED_KEY, ed_sign, version=2), VERSION),
    (block(ED_KEY, ed_sign, version=0), VERSION),
    *((block(ED_KEY, ed_sign, namespace=odd), SPACE) for odd in (b"file", b"", b"GIT", b"git\0")),
    *((block(ED_KEY, ed_sign, digest=odd), HASH) for odd in (b"sha1", b"sha384", b"SHA512", b"sha512\xff")),
    (block(ED_KEY, ed_sign, reserved=b"x"), RESERVED),
    (block(ED_KEY, ed_sign, after=b"\0"), TRAILING), (armor(compose(ED_KEY, ed_sign)[:-1]), SHORT),
    (block(b"", ed_sign), SHORT), (block(s(b"ssh-dss") + mpint(3), ed_sign), TYPE),
    (block(ED_KEY + bytes(5000), ed_sign), LONG), (block(ED_KEY + b"\0", ed_sign), TRAILING),
    (block(s(b"ssh-ed25519") + s(bytes(32)), ed_sign), SMALL),
    (block(ED_KEY, ec_sign), ALGORITHM), (block(EC_KEY, ed_sign), ALGORITHM),
    (rsa_made(ed_sign), ALGORITHM), (block(ED_KEY, rsa_sign(b"rsa-sha2-512", SHA512)), ALGORITHM),
    (rsa_made(rsa_sign(b"ssh-rsa", SHA512)), ALGORITHM), (rsa_made(rsa_sign(b"rsa-sha2-384", SHA512)), ALGORITHM),
    (block(SK_KEY, ed_sign), ALGORITHM),
    (block(ED_KEY, lambda data: ed_sign(data) + b"\0"), TRAILING),
    (block(ED_KEY, lambda data: s(b"ssh-ed25519") + s(ed_sign(data)[-64:-1])), MISMATCH),
    (block(blob_of(Signer.of(bytes(32)).public_line), ed_sign), MISMATCH),
    (rsa_made(rsa_sign(b"rsa-sha2-512", SHA256)), MISMATCH), (rsa_made(rsa_sign(b"rsa-sha2-256", SHA512)), MISMATCH),
    (rsa_made(rsa_sign(b"rsa-sha2-512", hashes.SHA1())), MISMATCH),
    (rsa_made(lambda data: s(b"rsa-sha2-512") + s(RSA.sign(data, PSS, SHA512))), MISMATCH),
    (rsa_made(lambda data: s(b"rsa-sha2-512") + s(b"\0" + rsa_sign(b"", SHA512)(data)[8:])), MISMATCH),
    (rsa_made(lambda data: rsa_sign(b"rsa-sha2-512", SHA512)(data) + b"\0"), TRAILING),
    (block(CUBIC, rsa_sign(b"rsa-sha2-512", SHA512)), MISMATCH),
    (block(rsa_key(RSA_WEAK), rsa_sign(b"rsa-sha2-512", SHA512, RSA_WEAK)),
     "an RSA key needs 2048 to 16384 bits; this one has 1024"),
    *((ecdsa(bits, digest), MISMATCH) for bits, digest in ((256, SHA512), (384, SHA256), (521, SHA256))),
    (ec_made(lambda data: ec_pair(data) + b"\0"), TRAILING), (ec_made(lambda _: mpint(7) + mpint(7)), MISMATCH),
    (ec_made(lambda _: mpint(7)), SHORT), (ec_made(lambda _: s(b"") + mpint(7)), SIGN),
    (ec_made(lambda _: mpint(7) + s(b"\xff")), SIGN), (ec_made(lambda _: mpint(7) + s(b"\0\7")), ZEROS),
    (ec_made(lambda _: mpint(2**600) + mpint(2**600)), MISMATCH),
    (block(EC_KEY, lambda data: ec_sign(data) + b"\0"), TRAILING),
    *((armor(made(flags=flags)), ABSENT) for made in (sk_ed, sk_ec) for flags in (0x00, 0x04, 0xFE)),
    *((armor(made(application=b"https://example.com")), APPLICATION) for made in (sk_ed, sk_ec)),
    (armor(sk_ed(after=b"\0")), TRAILING), (sk_made(b"\1\0\0\0"), SHORT), (sk_made(b"\1\0\0\0\7\0"), TRAILING),
    (sk_made(b"\1\0\0\0\6"), MISMATCH), (sk_made(b"\5\0\0\0\7"), MISMATCH), (sk_made(b""), SHORT),
    (block(SK_KEY, lambda data: s(SK_ED) + ed_sign(data)[15:] + b"\1\0\0\0\7"), MISMATCH),
], ids=short)  # fmt: skip
def test_a_bad_signature_is_refused_in_words(armored: bytes, why: str) -> None:
    """Whatever is not exactly one good signature is refused with what is wrong: the block, its envelope, its key."""
    with pytest.raises(Invalid) as refused:
        verify(PAYLOAD, armored)
    told = (refused.value.code, refused.value.where, refused.value.message)
    assert told == ("bad-signature", "signature", f"signature: {why}")


def test_the_signature_is_the_one_that_ssh_keygen_makes() -> None:
    """Ed25519 is deterministic: the block, the key's line and its fingerprint are those OpenSSH 9.2 printed."""
    assert LINE == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert SIGNER.fingerprint == "SHA256:lbmsoA0yIEcEiVDRnMWuzm+nV+3ZEEpVIURqFoeSspg"
    assert SIGNER.sign(b"words") == b"""-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgA6EHv/POEL4dcN0Y50vAmWfk1j
CbpQ1fHdyGZBJVMbgAAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5
AAAAQNUAGEvncN2DXkE9hWhFPxjoM/Oq0Dlb3yTHxy3/sj+fV+fTQRkM+8Hi9JKf3NM6SG
9CGAZZUakg+esPqUN7uQg=
-----END SSH SIGNATURE-----
"""


def _add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Add two points of the twisted Edwards curve (RFC 8032, section 5.1.4, affine)."""
    d = -121665 * pow(121666, -1, P) % P
    (x1, y1), (x2, y2) = a, b
    product = d * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P)


def test_exactly_the_points_of_small_order_are_called_so() -> None:
    """The y of order 8 doubles thrice to the neutral element: the five listed y are the whole torsion."""
    d = -121665 * pow(121666, -1, P) % P
    y = signing._ORDER_8
    square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    point, orders = (x, y), set()
    for _ in range(8):
        orders.add(point[1])
        point = _add(point, (x, y))
    assert orders == signing._SMALL_ORDER
    for value in orders:
        assert "small order" in why_bad(ed25519(value))
        assert "small order" in why_bad(ed25519(value | 1 << 255))


@given(st.binary(min_size=32, max_size=32))
def test_every_real_key_is_on_the_curve(seed: bytes) -> None:
    """The point check refuses no key that is made by the rules."""
    line = Signer.of(seed).public_line
    assert parse_public_key(line)[0] == line


def test_a_generated_key_is_private_and_loads_again(tmp_path: Path) -> None:
    """The file has mode 0600 whatever the umask, and gives the same signer back."""
    before = os.umask(0)
    try:
        made = Signer.generate(tmp_path / "key")
    finally:
        os.umask(before)
    assert (tmp_path / "key").stat().st_mode & 0o7777 == 0o600
    loaded = Signer.load(tmp_path / "key")
    assert (loaded.public_line, loaded.fingerprint) == (made.public_line, made.fingerprint)
    assert parse_public_key(made.public_line) == (made.public_line, made.fingerprint)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """A second `generate` is refused and the first key stays as it was."""
    Signer.generate(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(Invalid, match="File exists"):
        Signer.generate(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_a_key_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses to sync, no half-made key stays behind."""
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Invalid, match="Input/output"):
        Signer.generate(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Invalid, match="No such file"):
        Signer.generate(tmp_path / "missing" / "key")


def why_no_signer(make: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(Invalid) as refused:
        make(path)
    assert (refused.value.code, refused.value.where) == ("bad-signing-key", path.name)
    return refused.value.message.removeprefix(f"{path.name}: ")


def key_file(cipher: bytes, kdf: bytes = b"", kdf_options: bytes = b"") -> bytes:
    """A private key file in OpenSSH's format, whose secret part nobody can read."""
    parts = (cipher, kdf, kdf_options)
    data = b"openssh-key-v1\0" + b"".join(map(s, parts)) + bytes((0, 0, 0, 1)) + s(ED_KEY) + s(bytes(160))
    frame = b"-----%s OPENSSH PRIVATE KEY-----\n"
    return frame % b"BEGIN" + base64.encodebytes(data) + frame % b"END"


NO_KEY = "it is not an OpenSSH private key without a passphrase"
NO_FILE = "it is not a private key file"
OTHER_KIND = "it is not an Ed25519 key"
OPEN = "it is open to other users; run `chmod 600` on it"


def pem(private: ec.EllipticCurvePrivateKey | rsa_keys.RSAPrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


@pytest.mark.parametrize(("content", "why"), [
    (b"", NO_KEY), (b"words", NO_KEY), (bytes(MAX_BYTES), NO_KEY), (bytes(MAX_BYTES + 1), NO_FILE),
    (key_file(b"aes256-ctr", b"bcrypt", s(bytes(16)) + bytes((0, 0, 0, 1))), NO_KEY),
    (key_file(b"rot13", b"none"), NO_KEY), (key_file(b"none", b"none"), NO_KEY), (pem(EC), OTHER_KIND),
    (pem(RSA), OTHER_KIND),
], ids=short)  # fmt: skip
def test_a_file_that_is_no_private_key_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """Empty, too long, with a passphrase, in an unknown cipher, of another kind: each has its words."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(content)
    assert why_no_signer(Signer.load, path) == why


@pytest.mark.parametrize("bit", [0o001, 0o002, 0o004, 0o010, 0o020, 0o040])
def test_a_key_that_others_can_touch_is_refused(tmp_path: Path, bit: int) -> None:
    """Any right of group or others is too much; of its owner's own rights, reading is enough."""
    path = tmp_path / "key"
    made = Signer.generate(path)
    path.chmod(0o400)
    assert Signer.load(path).sign(b"words") == made.sign(b"words")
    path.chmod(0o600 | bit)
    assert why_no_signer(Signer.load, path) == OPEN


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A folder and a pipe are no key files, and neither is waited for; what is missing is said to be missing."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    assert [why_no_signer(Signer.load, tmp_path / name) for name in ("pipe", "folder")] == [NO_FILE, NO_FILE]
    assert why_no_signer(Signer.load, tmp_path / "missing") == "the file: No such file or directory"
    assert why_no_signer(Signer.generate, tmp_path / "missing" / "key") == "the file: No such file or directory"
    assert why_no_signer(Signer.generate, tmp_path / "folder") == "the file: File exists"


def test_known_keys_are_kept_but_not_without_bound() -> None:
    """Parsed keys are cached, at most 1,024 of them."""
    assert signing._load_key.cache_info().maxsize == 1024
