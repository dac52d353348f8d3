"""What `taskrepo.signing` reads, writes and refuses, without foreign tools."""

import base64
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskrepo import signing
from taskrepo.errors import Invalid
from taskrepo.signing import KEY_TYPES, Signer, parse_public_key, verify

SIGNER = Signer.of(bytes(range(32)))
LINE = SIGNER.public_line
P = 2**255 - 19


def s(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    return s(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def public(kind: str, *parts: bytes) -> str:
    return f"{kind} {base64.b64encode(s(kind.encode()) + b''.join(parts)).decode()}"


def ed25519(y: int) -> str:
    return public("ssh-ed25519", s(y.to_bytes(32, "little")))


def rsa(e: int, n: int) -> str:
    return public("ssh-rsa", mpint(e), mpint(n))


def why_bad(line: str) -> str:
    with pytest.raises(Invalid) as refused:
        parse_public_key(line)
    assert (refused.value.code, refused.value.where) == ("bad-public-key", "key")
    return refused.value.message


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
    ("", "one line"),
    (f"{LINE}\n{LINE}", "one line"),
    (f"{LINE} \0", "one line"),
    (f"{LINE} {'x' * 20_000}", "one line"),
    ("ssh-ed25519", "cut short"),
    ("ssh-ed25519 ****", "Only base64|base64"),
    ("ssh-ed25519 kéy", "base64"),
    (LINE[:-1], "adding"),
    (f"{LINE}AAAA", "trailing"),
    (f'command="ls" {LINE}', "options"),
    (f"no-pty {LINE}", "options"),
    ("ssh-dss AAAA", "must be one of"),
    (LINE.replace("ssh-ed25519", "ssh-rsa"), "not the one inside"),
    ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "private key: keep it secret"),
    ("-----BEGIN RSA PRIVATE KEY-----", "private key: keep it secret"),
    ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate Key", "private key: keep it secret"),
    (public("ssh-ed25519", s(bytes(31))), "malformed"),
    (ed25519(P), "malformed"),
    (ed25519(2), "not on the curve"),
    (public("ssh-ed25519", s(bytes(32)), b"\0"), "small order"),
    (rsa(65537, 2**1023 + 1), "2048 to 16384 bits; this one has 1024"),
    (rsa(65537, 2**16384 + 1), "16385"),
    (rsa(65537, 2**2047), "not those of a key"),
    (rsa(65536, 2**2047 + 1), "not those of a key"),
    (rsa(1, 2**2047 + 1), "not those of a key"),
    (rsa(2**33 + 1, 2**2047 + 1), "not those of a key"),
    (public("ssh-rsa", s(b""), mpint(2**2047 + 1)), "zero or negative"),
    (public("ssh-rsa", s(b"\x81"), mpint(2**2047 + 1)), "zero or negative"),
    (public("ssh-rsa", s(b"\0\x03"), mpint(2**2047 + 1)), "needless"),
    (public("ssh-rsa", s(b"\0"), mpint(2**2047 + 1)), "needless"),
    (public("ssh-rsa", mpint(3), mpint(2**40_000)), "too long"),
    (public("ecdsa-sha2-nistp256", s(b"nistp384"), s(b"\x04" + bytes(96))), "curve is not the one"),
    (public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"\x02" + bytes(32))), "uncompressed"),
    (public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"")), "uncompressed"),
    (public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"\x04" + bytes(64))), "."),
    (public("ecdsa-sha2-nistp256", s(b"nistp256"), s(b"\x04" + bytes(3))), "."),
    (public("sk-ssh-ed25519@openssh.com", s(base64.b64decode(LINE.split()[1])[-32:]), s(b"web")), "application"),
])
def test_a_line_that_is_no_usable_public_key_is_refused_in_words(line: str, why: str) -> None:
    """Every way a pasted key can be wrong has its own words."""
    message = why_bad(line)
    assert any(part in message for part in why.split("|")), message


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
    assert Signer.load(tmp_path / "key").public_line == made.public_line
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


def test_a_file_that_is_no_private_key_is_refused(tmp_path: Path) -> None:
    """Missing, empty, oversized, open to others, a folder or a pipe: each is refused, and none hangs."""
    path = tmp_path / "key"
    with pytest.raises(Invalid, match="No such file"):
        Signer.load(path)
    path.write_bytes(b"")
    with pytest.raises(Invalid, match="open to other users"):
        path.chmod(0o640)
        Signer.load(path)
    path.chmod(0o600)
    with pytest.raises(Invalid, match="passphrase"):
        Signer.load(path)
    path.write_bytes(bytes(20_000))
    with pytest.raises(Invalid, match="not a private key file"):
        Signer.load(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for other in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(Invalid, match="not a private key file"):
            Signer.load(other)


def test_known_keys_are_kept_but_not_without_bound() -> None:
    """Parsed keys are cached, at most 1,024 of them."""
    assert signing._load_key.cache_info().maxsize == 1024
