"""The signatures of `taskrepo.signing` against stock ssh-keygen and git, both ways, and those to refuse."""

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from taskrepo.errors import Invalid
from taskrepo.signing import Signer, parse_public_key, verify
from tests.support.signatures import (
    BEGIN,
    EC,
    EC_KEY,
    ED,
    ED_KEY,
    ED_RAW,
    END,
    PAYLOAD,
    RSA,
    RSA_WEAK,
    SK_ED,
    armor,
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
)
from tests.support.waiting import PATIENCE

needs_ssh_keygen = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is the oracle")
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is the oracle")

CREATED = [
    ("ed25519", ""), ("rsa", "2048"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"),
]


def ssh_keygen(*arguments: str | Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["ssh-keygen", *map(str, arguments)], input=stdin, capture_output=True, timeout=PATIENCE)


def create(folder: Path, kind: str, bits: str = "") -> Path:
    path = folder / f"{kind}{bits}"
    size = ["-b", bits] if bits else []
    ssh_keygen("-q", "-t", kind, *size, "-N", "", "-C", "a comment", "-f", path).check_returncode()
    return path


def stock_accepts(folder: Path, line: str, armored: bytes, payload: bytes = PAYLOAD) -> bool:
    """What `ssh-keygen -Y verify` says."""
    (folder / "allowed").write_text(f"someone {line}\n")
    (folder / "signature").write_bytes(armored)
    found = ssh_keygen("-Y", "verify", "-f", folder / "allowed", "-I", "someone", "-n", "git",
                       "-s", folder / "signature", stdin=payload)
    return found.returncode == 0


# -- both ways with stock tools ----------------------------------------------------------------------------------------


@needs_ssh_keygen
def test_stock_ssh_keygen_accepts_what_is_signed_here(tmp_path: Path) -> None:
    """A signature made by a `Signer` verifies with `ssh-keygen -Y verify`, and not over other bytes."""
    signer = Signer.generate(tmp_path / "key")
    assert stock_accepts(tmp_path, signer.public_line, signer.sign(PAYLOAD))
    assert not stock_accepts(tmp_path, signer.public_line, signer.sign(PAYLOAD), PAYLOAD + b" ")


@needs_ssh_keygen
def test_the_armor_is_ssh_keygens_byte_for_byte(tmp_path: Path) -> None:
    """Ed25519 is deterministic, so signing with one key here and there gives the very same bytes."""
    signer = Signer.generate(tmp_path / "key")
    stock = ssh_keygen("-Y", "sign", "-n", "git", "-f", tmp_path / "key", stdin=PAYLOAD)
    assert signer.sign(PAYLOAD) == stock.stdout


@needs_ssh_keygen
@pytest.mark.parametrize(("kind", "bits"), CREATED)
@pytest.mark.parametrize("digest", ["sha512", "sha256"])
def test_what_ssh_keygen_signs_is_accepted_here(tmp_path: Path, kind: str, bits: str, digest: str) -> None:
    """Every kind of key ssh-keygen creates signs for git; its line and fingerprint read as ssh-keygen prints them."""
    path = create(tmp_path, kind, bits)
    made = ssh_keygen("-Y", "sign", "-n", "git", "-O", f"hashalg={digest}", "-f", path, stdin=PAYLOAD).stdout
    public = path.with_suffix(".pub").read_text()
    line, fingerprint = parse_public_key(public)
    assert verify(PAYLOAD, made) == line == " ".join(public.split()[:2])
    assert fingerprint == ssh_keygen("-l", "-f", path).stdout.decode().split()[1]
    with pytest.raises(Invalid, match="does not match"):
        verify(PAYLOAD + b"\n", made)


@needs_ssh_keygen
def test_a_key_of_ssh_keygen_signs_here_too(tmp_path: Path) -> None:
    """A private key ssh-keygen made loads, and the one made here is one ssh-keygen reads."""
    assert Signer.load(create(tmp_path, "ed25519")).public_line == " ".join(
        (tmp_path / "ed25519.pub").read_text().split()[:2]
    )
    signer = Signer.generate(tmp_path / "own")
    assert ssh_keygen("-y", "-f", tmp_path / "own").stdout.decode().strip() == signer.public_line


@needs_ssh_keygen
@pytest.mark.parametrize("build", [sk_ed, sk_ec])
def test_security_keys_are_accepted_as_ssh_keygen_accepts_them(tmp_path: Path, build: Callable[[], bytes]) -> None:
    """A FIDO signature, built in software, is good here and for ssh-keygen, with and without user verification."""
    for blob in (build(), build(flags=5)):  # type: ignore[call-arg]
        line = verify(PAYLOAD, armor(blob))
        assert line.startswith("sk-")
        assert parse_public_key(line)[0] == line
        assert stock_accepts(tmp_path, line, armor(blob))


@needs_ssh_keygen
@pytest.mark.parametrize("algorithm", [b"rsa-sha2-256", b"rsa-sha2-512"])
def test_both_sha2_forms_of_rsa_are_accepted(tmp_path: Path, algorithm: bytes) -> None:
    """RSA signs with SHA-256 or SHA-512, whichever hash the message was given."""
    digest = hashes.SHA256() if algorithm.endswith(b"256") else hashes.SHA512()
    made = armor(compose(rsa_key(RSA), rsa_sign(algorithm, digest), digest=b"sha256"))
    assert stock_accepts(tmp_path, verify(PAYLOAD, made), made)


@needs_git
@needs_ssh_keygen
def test_git_verify_commit_accepts_a_commit_signed_here(tmp_path: Path) -> None:
    """A commit whose `gpgsig` a `Signer` made is good for stock git, and spoiled by any change."""
    signer = Signer.generate(tmp_path / "key")
    (tmp_path / "allowed").write_text(f'exchange namespaces="git" {signer.public_line}\n')
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        flags = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={tmp_path / 'allowed'}"]
        return subprocess.run(["git", "-C", str(tmp_path / "r"), *flags, *arguments], input=stdin, env=environment,
                              capture_output=True, timeout=PATIENCE)

    (tmp_path / "r").mkdir()
    git("init", "-q", "--bare").check_returncode()
    tree = git("hash-object", "-t", "tree", "-w", "--stdin").stdout.decode().strip()
    person = "Exchange <exchange@localhost> 1700000000 +0000"
    head = f"tree {tree}\nauthor {person}\ncommitter {person}\n".encode()
    body = b"\nclaim 4k7q2m9x: words\n"
    header = b"gpgsig " + signer.sign(head + body).rstrip(b"\n").replace(b"\n", b"\n ") + b"\n"
    good = git("hash-object", "-t", "commit", "-w", "--stdin", stdin=head + header + body).stdout.decode().strip()
    bad = git("hash-object", "-t", "commit", "-w", "--stdin", stdin=head + header + body + b"!").stdout.decode().strip()
    found = git("verify-commit", "--raw", good)
    assert found.returncode == 0, found.stderr
    assert b'Good "git" signature for exchange' in found.stderr
    assert git("verify-commit", bad).returncode != 0


# -- what must be refused ----------------------------------------------------------------------------------------------

GOOD = armor(compose(ED_KEY, ed_sign))
LINES = GOOD.splitlines(keepends=True)
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER_KEY = s(b"ssh-ed25519") + s(OTHER.public_key().public_bytes_raw())
# The neutral element as key and as R, with S = 0: the equation holds for every message.
NEUTRAL = (1).to_bytes(32, "little")
ORDER = 2**252 + 27742317777372353535851937790883648493


def ed_wrong_s(data: bytes) -> bytes:
    made = ED.sign(data)
    return s(b"ssh-ed25519") + s(made[:32] + (int.from_bytes(made[32:], "little") + ORDER).to_bytes(32, "little"))


def rebuilt(change: Callable[[bytes], bytes]) -> bytes:
    return armor(change(compose(ED_KEY, ed_sign)))


BAD: dict[str, bytes] = {
    # the armor
    "empty": b"",
    "only the frame": BEGIN + END,
    "an empty line inside": LINES[0] + b"\n" + b"".join(LINES[1:]),
    "CRLF line ends": GOOD.replace(b"\n", b"\r\n"),
    "two final newlines": GOOD + b"\n",
    "text before": b"hello\n" + GOOD,
    "a newline before": b"\n" + GOOD,
    "text after": GOOD + b"hello\n",
    "a blank before the end": GOOD[:-1] + b" \n",
    "two blocks": GOOD + GOOD,
    "another block after": GOOD + armor(compose(OTHER_KEY, ed_sign)),
    "no end line": b"".join(LINES[:-1]),
    "no begin line": b"".join(LINES[1:]),
    "another begin line": GOOD.replace(b"BEGIN SSH", b"BEGIN PGP"),
    "lower-case frame": GOOD.replace(b"SIGNATURE", b"signature"),
    "a PEM header": LINES[0] + b"Comment: x\n\n" + b"".join(LINES[1:]),
    "lines of 71 columns": armor(compose(ED_KEY, ed_sign), 71),
    "one long line": armor(compose(ED_KEY, ed_sign), 10_000),
    "uneven lines": LINES[0] + LINES[1][:9] + b"\n" + LINES[1][9:] + b"".join(LINES[2:]),
    "blanks in the base64": LINES[0] + b" " + b"".join(LINES[1:]),
    "a byte that is not base64": GOOD.replace(LINES[1][:1], b"*", 1),
    "URL-safe base64": armor(compose(ED_KEY, ed_sign)).translate(bytes.maketrans(b"+/", b"-_"))[:30] + b"-_-_\n" + END,
    "no padding": BEGIN + base64.b64encode(compose(ED_KEY, ed_sign, after=b"x")).rstrip(b"=")[:60] + b"\n" + END,
    "longer than 16 KiB": armor(compose(ED_KEY, ed_sign, after=bytes(20_000))),
    "raw, not armored": compose(ED_KEY, ed_sign),
    # the envelope
    "another magic": armor(compose(ED_KEY, ed_sign, magic=b"SSHSIH")),
    "version 0": armor(compose(ED_KEY, ed_sign, version=0)),
    "version 2": armor(compose(ED_KEY, ed_sign, version=2)),
    "namespace file": armor(compose(ED_KEY, ed_sign, namespace=b"file")),
    "namespace empty": armor(compose(ED_KEY, ed_sign, namespace=b"")),
    "namespace in capitals": armor(compose(ED_KEY, ed_sign, namespace=b"GIT")),
    "namespace with a NUL": armor(compose(ED_KEY, ed_sign, namespace=b"git\0")),
    "reserved not empty": armor(compose(ED_KEY, ed_sign, reserved=b"x")),
    "hash SHA-1": armor(compose(ED_KEY, ed_sign, digest=b"sha1")),
    "hash SHA-384": armor(compose(ED_KEY, ed_sign, digest=b"sha384")),
    "hash in capitals": armor(compose(ED_KEY, ed_sign, digest=b"SHA512")),
    "hash not ASCII": armor(compose(ED_KEY, ed_sign, digest=b"sha512\xff")),
    "a byte after": armor(compose(ED_KEY, ed_sign, after=b"\0")),
    "the last byte cut": rebuilt(lambda blob: blob[:-1]),
    "cut in half": rebuilt(lambda blob: blob[: len(blob) // 2]),
    "only the magic": armor(b"SSHSIG"),
    "a length past the end": rebuilt(lambda blob: blob[:10] + b"\xff\xff\xff\xff" + blob[14:]),
    # the key and the signature
    "one bit flipped": rebuilt(lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])),
    "another key named": armor(compose(OTHER_KEY, ed_sign)),
    "another payload": armor(compose(ED_KEY, ed_sign, payload=b"other")),
    "an RSA signature under an Ed25519 key": armor(compose(ED_KEY, rsa_sign(b"rsa-sha2-512", hashes.SHA512()))),
    "an Ed25519 signature under an RSA key": armor(compose(rsa_key(RSA), ed_sign)),
    "an ECDSA signature under an Ed25519 key": armor(compose(ED_KEY, ec_sign)),
    "a FIDO algorithm under a plain key": armor(compose(ED_KEY, lambda data: s(SK_ED) + s(ED.sign(data)) + bytes(5))),
    "a plain algorithm under a FIDO key": armor(compose(s(SK_ED) + s(ED_RAW) + s(b"ssh:"), ed_sign)),
    "RSA with SHA-1": armor(compose(rsa_key(RSA), rsa_sign(b"ssh-rsa", hashes.SHA1()))),
    "RSA with SHA-1 called SHA-512": armor(compose(rsa_key(RSA), rsa_sign(b"rsa-sha2-512", hashes.SHA1()))),
    "RSA of 1024 bits": armor(compose(rsa_key(RSA_WEAK), rsa_sign(b"rsa-sha2-512", hashes.SHA512(), RSA_WEAK))),
    "RSA signature with a leading zero": armor(compose(
        rsa_key(RSA),
        lambda data: s(b"rsa-sha2-512") + s(b"\0" + RSA.sign(data, padding.PKCS1v15(), hashes.SHA512())))),
    "trailing bytes in the signature": armor(compose(ED_KEY, lambda data: ed_sign(data) + b"\0")),
    "trailing bytes in the key": armor(compose(ED_KEY + b"\0", ed_sign)),
    "trailing bytes in the ECDSA pair": armor(compose(
        EC_KEY, lambda data: s(b"ecdsa-sha2-nistp256") + s(ec_pair(data) + b"\0"))),
    "a needless zero in the ECDSA pair": armor(compose(EC_KEY, lambda data: s(b"ecdsa-sha2-nistp256") + s(
        b"".join(s(bytes(2) + number.to_bytes(32, "big")) for number in
                 utils.decode_dss_signature(EC.sign(data, ec.ECDSA(hashes.SHA256()))))))),
    "zero as ECDSA pair": armor(compose(EC_KEY, lambda _: s(b"ecdsa-sha2-nistp256") + s(s(b"") + s(b"")))),
    "negative numbers as ECDSA pair": armor(compose(
        EC_KEY, lambda _: s(b"ecdsa-sha2-nistp256") + s(s(b"\xff") + s(b"\xff")))),
    "numbers past the ECDSA order": armor(compose(
        EC_KEY, lambda _: s(b"ecdsa-sha2-nistp256") + s(mpint(2**600) + mpint(2**600)))),
    "Ed25519 signature of 63 bytes": armor(compose(ED_KEY, lambda data: s(b"ssh-ed25519") + s(ED.sign(data)[:63]))),
    "Ed25519 with S past the order": armor(compose(ED_KEY, ed_wrong_s)),
    "Ed25519 key of order 1": armor(compose(
        s(b"ssh-ed25519") + s(NEUTRAL), lambda _: s(b"ssh-ed25519") + s(NEUTRAL + bytes(32)))),
    "empty key": armor(compose(b"", ed_sign)),
    "DSA key": armor(compose(s(b"ssh-dss") + mpint(3) * 4, ed_sign)),
    "certificate": armor(compose(s(b"ssh-ed25519-cert-v01@openssh.com") + s(bytes(32)) + ED_KEY[15:], ed_sign)),
    "huge key": armor(compose(ED_KEY + bytes(5000), ed_sign)),
    "FIDO without the user": armor(sk_ed(flags=0)),
    "FIDO verified but not present": armor(sk_ec(flags=4)),
    "FIDO for another application": armor(sk_ed(application=b"ssh:other")),
    "FIDO for a web site": armor(sk_ec(application=b"https://example.com")),
    "FIDO with bytes after the counter": armor(sk_ed(after=b"\0")),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_signature_is_refused(case: str) -> None:
    """Whatever is not exactly one good signature for git is `bad-signature`, never another error."""
    with pytest.raises(Invalid) as refused:
        verify(PAYLOAD, BAD[case])
    assert refused.value.code == "bad-signature"
    assert refused.value.where == "signature"


def test_the_builders_of_the_bad_cases_build_good_ones_too() -> None:
    """Every signature the bad cases are made from is accepted when nothing is wrong with it."""
    for key, sign in ((ED_KEY, ed_sign), (EC_KEY, ec_sign), (rsa_key(RSA), rsa_sign(b"rsa-sha2-512", hashes.SHA512()))):
        assert verify(PAYLOAD, armor(compose(key, sign))) == line_of(key)


@needs_ssh_keygen
def test_the_traps_are_real_ones(tmp_path: Path) -> None:
    """ssh-keygen itself accepts two blocks and CRLF, so these refusals are this module's own."""
    accepted = [case for case in ("two blocks", "text after", "CRLF line ends")
                if stock_accepts(tmp_path, line_of(ED_KEY), BAD[case])]
    assert "two blocks" in accepted
    assert "text after" in accepted


@needs_ssh_keygen
def test_a_stolen_signature_from_another_namespace_is_refused(tmp_path: Path) -> None:
    """A file signed with `-n file` by the right key says nothing about a commit."""
    path = create(tmp_path, "ed25519")
    made = ssh_keygen("-Y", "sign", "-n", "file", "-f", path, stdin=PAYLOAD).stdout
    with pytest.raises(Invalid, match="namespace"):
        verify(PAYLOAD, made)


@needs_ssh_keygen
def test_an_encrypted_or_foreign_private_key_is_refused(tmp_path: Path) -> None:
    """The exchange's key is Ed25519 without a passphrase; anything else is refused in words."""
    ssh_keygen("-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked").check_returncode()
    with pytest.raises(Invalid, match="passphrase"):
        Signer.load(tmp_path / "locked")
    with pytest.raises(Invalid, match="not an Ed25519"):
        Signer.load(create(tmp_path, "ecdsa", "256"))
