"""SSH signatures over bytes: what signs the ledger's commits, and what checks them.

* A signature is an SSHSIG, version 1, namespace `git`, over SHA-512 (SHA-256 is accepted): what `git` writes and reads.
* The exchange signs with Ed25519. Accepted: Ed25519, RSA (rsa-sha2 only, 2048 to 16384 bits), ECDSA on the NIST curves,
  and the two FIDO kinds (application `ssh:`, user present).
* Whatever is accepted here, stock `ssh-keygen -Y verify` accepts. Not the reverse: here everything has one encoding,
  nothing stands before, after or between, and no key has small order.
* `verify` says which key signed, never whether that key counts: its place in the ledger decides that.
* Only this module names `cryptography`'s keys; a private key leaves it only into its own file.

Source: OpenSSH `PROTOCOL.sshsig`, `PROTOCOL.u2f`; RFC 4251 (data types), 4253, 5656, 8032, 8332, 8709.

>>> signer = Signer.of(bytes(32))
>>> verify(b"payload", signer.sign(b"payload")) == signer.public_line
True
>>> verify(b"other", signer.sign(b"payload"))
Traceback (most recent call last):
taskrepo.errors.Invalid: bad-signature: signature: it does not match the content and the key it names
"""

import base64
import hashlib
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from taskrepo.durable import create
from taskrepo.errors import Invalid

MAX_BYTES: Final = 16 * 1024  # of an armored signature, a public key line, a private key file

_NAMESPACE: Final = b"git"
_MAGIC: Final = b"SSHSIG"
_PREAMBLE: Final = _MAGIC + bytes((0, 0, 0, 1))
_BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----"
_END: Final = b"-----END SSH SIGNATURE-----"
_COLUMNS: Final = 70
# ssh-keygen writes 70 columns, PROTOCOL.sshsig speaks of 76, signers built on a PEM library write 64.
_READ_COLUMNS: Final = (_COLUMNS, 76, 64)
_HASHES: Final = frozenset({"sha256", "sha512"})
_RSA_BITS: Final = range(2048, 16384 + 1)
_RSA_MAX_EXPONENT: Final = 2**32
_RSA_HASHES: Final = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
_APPLICATION: Final = b"ssh:"
_USER_PRESENT: Final = 0x01


@contextmanager
def _refusing(code: str, where: str) -> Iterator[None]:
    """What every public function does with bytes it cannot accept; `cryptography` too says so with `ValueError`."""
    try:
        yield
    except (ValueError, InvalidSignature) as why:
        raise Invalid(code, where, str(why) or "it does not match the content and the key it names") from None
    except OSError as why:
        raise Invalid(code, where, f"the file: {why.strerror}") from None


class _Reader:
    """A cursor over SSH-encoded bytes that accepts only the shortest encoding of everything."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise ValueError("it is cut short")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def string(self) -> bytes:
        """A big-endian 32-bit length and so many bytes."""
        return self.take(int.from_bytes(self.take(4), "big"))

    def word(self) -> str:
        """A string that names something; one that is not ASCII equals no known name."""
        return self.string().decode("ascii", "replace")

    def positive(self) -> int:
        """An `mpint` greater than zero, without needless leading zeros."""
        raw = self.string()
        if not raw or raw[0] & 0x80:
            raise ValueError("a number in it is zero or negative")
        if raw[0] == 0 and (len(raw) == 1 or not raw[1] & 0x80):
            raise ValueError("a number in it has needless leading zeros")
        return int.from_bytes(raw, "big")

    def end(self) -> None:
        """Insist that nothing is left."""
        if self._at != len(self._data):
            raise ValueError("it has trailing bytes")

    def last(self) -> bytes:
        """A string that nothing follows."""
        taken = self.string()
        self.end()
        return taken


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _unbase64(text: bytes) -> bytes:
    """Decode base64 that has exactly one spelling (RFC 4648, section 3.5)."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data) != text:
        raise ValueError("its base64 is not canonical")
    return data


# Reads the rest of a signature made with the named algorithm; raises unless it is good for the message.
_Check = Callable[[str, _Reader, bytes], None]

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
# The y of the points of order 8; those of order 1, 2 and 4 are 1, -1 and 0.
_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER: Final = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})


def _check_ed25519_point(raw: bytes) -> None:
    """Insist on a canonical point of the curve (RFC 8032, 5.1.3), not of small order: such a key "signs" anything."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if len(raw) != 32 or y >= _P:
        raise ValueError("its Ed25519 point is malformed")
    if y in _SMALL_ORDER:
        raise ValueError("its Ed25519 point has small order")
    # x² = u/v has a root exactly when u·v is a square (Euler's criterion).
    u, v = y * y - 1, _D * y * y + 1
    if pow(u * v, (_P - 1) // 2, _P) != 1:
        raise ValueError("its Ed25519 point is not on the curve")


def _load_ed25519(_kind: str, blob: _Reader) -> _Check:
    raw = blob.string()
    _check_ed25519_point(raw)
    key = Ed25519PublicKey.from_public_bytes(raw)

    def check(_algorithm: str, signature: _Reader, message: bytes) -> None:
        key.verify(signature.last(), message)

    return check


def _load_ecdsa(kind: str, blob: _Reader) -> _Check:
    name = blob.word()
    if name not in _CURVES or not kind.removesuffix("@openssh.com").endswith(f"-{name}"):
        raise ValueError("its curve is not the one its type names")
    curve, digest = _CURVES[name]
    point = blob.string()
    if point[:1] != b"\x04":
        raise ValueError("its curve point is not in uncompressed form")
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)

    def check(_algorithm: str, signature: _Reader, message: bytes) -> None:
        pair = _Reader(signature.last())
        r, s = pair.positive(), pair.positive()
        pair.end()
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(digest))

    return check


def _load_rsa(_kind: str, blob: _Reader) -> _Check:
    e, n = blob.positive(), blob.positive()
    if n.bit_length() not in _RSA_BITS:
        raise ValueError(f"an RSA key needs 2048 to 16384 bits; this one has {n.bit_length()}")
    if not (2 < e < _RSA_MAX_EXPONENT and e & n & 1):
        raise ValueError("its RSA numbers are not those of a key")
    key = rsa.RSAPublicNumbers(e, n).public_key()

    def check(algorithm: str, signature: _Reader, message: bytes) -> None:
        key.verify(signature.last(), message, padding.PKCS1v15(), _RSA_HASHES[algorithm])

    return check


def _load_fido(load: Callable[[str, _Reader], _Check], kind: str, blob: _Reader) -> _Check:
    """A key in a security key signs the digests of application and message around its flags and counter."""
    inner = load(kind, blob)
    if blob.string() != _APPLICATION:
        raise ValueError("its application is not `ssh:`")

    def check(algorithm: str, signature: _Reader, message: bytes) -> None:
        made = signature.string()
        flags_and_counter = signature.take(5)
        signature.end()
        if not flags_and_counter[0] & _USER_PRESENT:
            raise ValueError("the security key signed without its user being present")
        signed = hashlib.sha256(_APPLICATION).digest() + flags_and_counter + hashlib.sha256(message).digest()
        inner(algorithm, _Reader(_string(made)), signed)

    return check


_LOADERS: Final[Mapping[str, Callable[[str, _Reader], _Check]]] = {
    "ssh-ed25519": _load_ed25519,
    "ssh-rsa": _load_rsa,
    **dict.fromkeys((f"ecdsa-sha2-{curve}" for curve in _CURVES), _load_ecdsa),
    "sk-ssh-ed25519@openssh.com": partial(_load_fido, _load_ed25519),
    "sk-ecdsa-sha2-nistp256@openssh.com": partial(_load_fido, _load_ecdsa),
}
KEY_TYPES: Final = tuple(_LOADERS)


@dataclass(frozen=True, slots=True)
class _Key:
    type: str
    line: str
    fingerprint: str
    algorithms: Collection[str]
    check: _Check


# 1,024 keys of at most 4 KiB each; a refused key is never kept.
@lru_cache(maxsize=1024)
def _load_key(blob: bytes) -> _Key:
    """Read and check a public key blob (RFC 4253 section 6.6, RFC 5656, RFC 8709)."""
    if len(blob) > 4096:
        raise ValueError("its key is too long")
    reader = _Reader(blob)
    kind = reader.word()
    if kind not in _LOADERS:
        raise ValueError("its key is of a type that is not accepted")
    loaded = _LOADERS[kind](kind, reader)
    reader.end()
    line = f"{kind} {base64.b64encode(blob).decode()}"
    digest = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode()
    return _Key(kind, line, f"SHA256:{digest}", _RSA_HASHES if kind == "ssh-rsa" else (kind,), loaded)


def parse_public_key(line: str) -> tuple[str, str]:
    """Check a public key as a person pastes it: `<type> <base64> [comment]`, one line, as in `id_ed25519.pub`.

    Returns the canonical `<type> <base64>` and the fingerprint as `ssh-keygen -l` prints it (`SHA256:…`).
    Raises `Invalid("bad-public-key", "key", …)` for anything else: options, certificates, DSA, weak or false keys, and
    private keys, which it asks the person to keep.
    """
    with _refusing("bad-public-key", "key"):
        kind, text = _split_line(line)
        key = _load_key(_unbase64(text.encode("ascii", "replace")))
        if key.type != kind:
            raise ValueError("its type is not the one inside its base64")
    return key.line, key.fingerprint


def _split_line(line: str) -> tuple[str, str]:
    if "PRIVATE KEY" in line[:MAX_BYTES].upper():
        raise ValueError("this is a private key: keep it secret, and give the line of the `.pub` file beside it")
    text = line.strip()
    if not text or len(line) > MAX_BYTES or len(text.splitlines()) != 1 or "\0" in text:
        raise ValueError("a public key is one line: its type, its base64 and perhaps a comment")
    kind, *rest = text.split(maxsplit=2)
    if kind not in _LOADERS:
        raise ValueError(_why_not(kind, text))
    return kind, rest[0] if rest else ""


def _why_not(kind: str, text: str) -> str:
    if "-cert-v0" in kind:
        return "this is a certificate; give the plain public key"
    if not _LOADERS.keys().isdisjoint(text.split()):
        return "options before the key's type are not accepted"
    return f"the key's type must be one of {', '.join(_LOADERS)}"


def verify(payload: bytes, armored: bytes) -> str:
    """Check an armored SSHSIG over `payload`; returns the public key line (`<type> <base64>`) that made it.

    `armored` is one whole block, LF line ends, with or without the final newline. Raises
    `Invalid("bad-signature", "signature", …)` for anything that is not exactly a good signature for namespace `git`.
    """
    with _refusing("bad-signature", "signature"):
        blob = _Reader(_dearmor(armored))
        if blob.take(len(_PREAMBLE)) != _PREAMBLE:
            raise ValueError("it is not an SSHSIG of version 1")
        key = _load_key(blob.string())
        if blob.string() != _NAMESPACE:
            raise ValueError("its namespace is not `git`")
        if blob.string() != b"":
            raise ValueError("its reserved field is not empty")
        digest = blob.word()
        if digest not in _HASHES:
            raise ValueError("its hash is neither sha256 nor sha512")
        signature = _Reader(blob.last())
        algorithm = signature.word()
        if algorithm not in key.algorithms:
            raise ValueError("its algorithm is not one for its key")
        key.check(algorithm, signature, _message(payload, digest))
    return key.line


def _message(payload: bytes, digest: str) -> bytes:
    """The bytes that are signed: PROTOCOL.sshsig, section 2."""
    hashed = hashlib.new(digest, payload).digest()
    return _MAGIC + _string(_NAMESPACE) + _string(b"") + _string(digest.encode()) + _string(hashed)


def _wrap(text: bytes, columns: int) -> list[bytes]:
    return [text[at : at + columns] for at in range(0, len(text), columns)]


def _dearmor(armored: bytes) -> bytes:
    if len(armored) > MAX_BYTES:
        raise ValueError("it is longer than 16 KiB")
    lines = armored.removesuffix(b"\n").split(b"\n")
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("it is not one armored block")
    text = b"".join(lines[1:-1])
    if not any(_wrap(text, columns) == lines[1:-1] for columns in _READ_COLUMNS):
        raise ValueError("its lines are not broken as ssh-keygen breaks them")
    return _unbase64(text)


@dataclass(frozen=True, slots=True)
class Signer:
    """An Ed25519 key that signs. `public_line` is `ssh-ed25519 <base64>`, `fingerprint` what `ssh-keygen -l` prints."""

    _key: Ed25519PrivateKey = field(repr=False)
    public_line: str
    fingerprint: str

    @classmethod
    def of(cls, seed: bytes) -> Self:
        """The signer of a 32-byte RFC 8032 private key. For tests and derived keys; `generate` makes the ledger's."""
        return cls._from(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def _from(cls, private: Ed25519PrivateKey) -> Self:
        raw = private.public_key().public_bytes_raw()
        key = _load_key(_string(b"ssh-ed25519") + _string(raw))
        return cls(private, key.line, key.fingerprint)

    @classmethod
    def generate(cls, path: Path) -> Self:
        """Make a new key and write it to `path` in OpenSSH's private key format, mode 0600, durably.

        Raises `Invalid("bad-signing-key", …)` if a file is there already (it is never overwritten) or none can be made.
        """
        private = Ed25519PrivateKey.generate()
        encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
        with _refusing("bad-signing-key", path.name):
            create(path, private.private_bytes(encoding, layout, serialization.NoEncryption()))
        return cls._from(private)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key that `generate` or `ssh-keygen -t ed25519 -N ''` wrote.

        Raises `Invalid("bad-signing-key", …)` if the file is missing, open to others, encrypted, or not such a key.
        """
        with _refusing("bad-signing-key", path.name):
            private = _read_private(path)
        return cls._from(private)

    def sign(self, payload: bytes) -> bytes:
        """The armored SSHSIG over `payload`, as `ssh-keygen -Y sign -n git` prints it, with a final newline."""
        key = base64.b64decode(self.public_line.split()[1])
        made = self._key.sign(_message(payload, "sha512"))
        signature = _string(b"ssh-ed25519") + _string(made)
        parts = (key, _NAMESPACE, b"", b"sha512", signature)
        blob = _PREAMBLE + b"".join(map(_string, parts))
        return b"\n".join((_BEGIN, *_wrap(base64.b64encode(blob), _COLUMNS), _END, b""))


def _read_private(path: Path) -> Ed25519PrivateKey:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        raise ValueError("it is not a private key file")
    if found.st_mode & 0o077:
        raise ValueError("it is open to other users; run `chmod 600` on it")
    try:
        private = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("it is not an OpenSSH private key without a passphrase") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("it is not an Ed25519 key")
    return private
