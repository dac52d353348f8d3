"""Encryption of what a private task says: short texts as tokens, files as streams.

* Everything is AES-256-GCM (NIST SP 800-38D) under the task's own key; nothing that was altered, cut short or moved to
  another use opens.
* A token is one line of text, `sealed:1:` and base64url of nonce and ciphertext; each has a random nonce of 96 bits.
* A sealed file is a header with a random salt, and chunks of 64 KiB; its own key is derived from task key and salt, a
  chunk's nonce is its number and whether it is the last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
  Vizár, as in the age format). So it is made and read in bounded memory, and from any position.
* Lengths are not hidden.

>>> key = new_key()
>>> open_text(key, "text", seal_text(key, "text", "half done"))
'half done'
"""

import io
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from os import urandom
from typing import BinaryIO, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from taskrepo.errors import Invalid

KEY_BYTES: Final = 32
CHUNK: Final = 1 << 16
_TAG: Final = 16
_NONCE: Final = 12
_MAGIC: Final = b"taskrepo sealed file 1\n"
_SALT: Final = 32
HEADER: Final = len(_MAGIC) + _SALT
_TOKEN: Final = re.compile(r"sealed:1:([A-Za-z0-9_-]{38,})")


class Readable(Protocol):
    """Content: `read(n)` gives at most n bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


def new_key() -> bytes:
    """A random key of `KEY_BYTES` bytes."""
    return urandom(KEY_BYTES)


# ── short texts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def seal_text(key: bytes, use: str, text: str) -> str:
    """The token of `text`. It opens only under the same key and for the same `use`."""
    nonce = urandom(_NONCE)
    sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), use.encode())
    return "sealed:1:" + urlsafe_b64encode(sealed).decode().rstrip("=")


def open_text(key: bytes, use: str, token: str) -> str:
    """The text of a token. Raises `Invalid("bad-seal")`."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise Invalid("bad-seal", use, "is not a sealed text")
    try:
        sealed = urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], use.encode()).decode()
    except (InvalidTag, ValueError):  # ValueError: no base64 has this length
        raise Invalid("bad-seal", use, "was altered, or sealed with another key") from None


def is_sealed(text: str) -> bool:
    """Whether it has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def wrap(master: bytes, task: str, key: bytes) -> bytes:
    """The task's key, encrypted under the exchange's."""
    nonce = urandom(_NONCE)
    return nonce + AESGCM(master).encrypt(nonce, key, task.encode())


def unwrap(master: bytes, task: str, wrapped: bytes) -> bytes:
    """The key in `wrapped`. Raises `Invalid("bad-seal")`."""
    try:
        return AESGCM(master).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], task.encode())
    except (InvalidTag, ValueError):
        raise Invalid("bad-seal", task, "its key was altered, or wrapped under another one") from None


def fingerprint(master: bytes) -> str:
    """What a key of the exchange is called: 16 hex digits that tell nothing about it."""
    return sha256(b"taskrepo master key\0" + master).hexdigest()[:16]


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_sealed_file(head: bytes) -> bool:
    """Whether content that begins with `head` (`HEADER` bytes suffice) has the form of a sealed file."""
    return head.startswith(_MAGIC)


def sealed_size(size: int) -> int:
    """How many bytes a file of `size` bytes has once sealed."""
    return HEADER + size + _TAG * max(1, -(-size // CHUNK))


def opened_size(size: int) -> int:
    """How many bytes are in a sealed file of `size` bytes. Raises `Invalid("bad-seal")`."""
    body = size - HEADER
    chunks = max(1, -(-body // (CHUNK + _TAG)))
    if body < _TAG * chunks or sealed_size(body - _TAG * chunks) != size:
        raise Invalid("bad-seal", "file", "has a size that no sealed file has")
    return body - _TAG * chunks


class Sealed:
    """The sealed form of a stream, to be read once from beginning to end."""

    def __init__(self, key: bytes, source: Readable) -> None:
        salt = urandom(_SALT)
        self._source, self._cipher = source, _file_cipher(key, salt)
        self._ready = bytearray(_MAGIC + salt)
        self._next: bytes | None = self._chunk()
        self._number = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none only at the end."""
        while not self._ready and self._next is not None:
            self._seal_next()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def _seal_next(self) -> None:
        chunk = self._next
        assert chunk is not None
        following = self._chunk() if len(chunk) == CHUNK else b""
        self._ready += self._cipher.encrypt(_nonce(self._number, last=not following), chunk, None)
        self._number += 1
        self._next = following or None

    def _chunk(self) -> bytes:
        """The next `CHUNK` bytes of the source; fewer only at its end."""
        data = bytearray()
        while len(data) < CHUNK and (more := self._source.read(CHUNK - len(data))):
            data += more
        return bytes(data)


def opened(key: bytes, sealed: BinaryIO, size: int) -> BinaryIO:
    """The content of a sealed file of `size` bytes, as a stream that can seek and closes `sealed` with itself.

    Raises `Invalid("bad-seal")`, also while it is read.
    """
    try:
        stream = _Opened(key, sealed, size)
    except BaseException:
        sealed.close()
        raise
    return io.BufferedReader(stream, CHUNK)


class _Opened(io.RawIOBase):
    """The plain side of a sealed file; holds one chunk at a time."""

    def __init__(self, key: bytes, sealed: BinaryIO, size: int) -> None:
        head = sealed.read(HEADER)
        if len(head) != HEADER or not head.startswith(_MAGIC):
            raise Invalid("bad-seal", "file", "is not a sealed file")
        self._sealed, self._cipher = sealed, _file_cipher(key, head[len(_MAGIC) :])
        self._size, self._at = opened_size(size), 0
        self._held, self._chunk = -1, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position in the plain content."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position of the plain content."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the chunk at hand."""
        if self._at >= self._size:
            if not self._size and self._held < 0:
                self._load(0)  # an empty file, too, must be whole
            return 0
        number, start = divmod(self._at, CHUNK)
        if number != self._held:
            self._load(number)
        data = self._chunk[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close both sides."""
        self._chunk = b""
        self._sealed.close()
        super().close()

    def _load(self, number: int) -> None:
        self._sealed.seek(HEADER + number * (CHUNK + _TAG))
        data = self._sealed.read(CHUNK + _TAG)
        last = (number + 1) * CHUNK >= self._size
        try:
            self._chunk = self._cipher.decrypt(_nonce(number, last=last), data, None)
        except (InvalidTag, ValueError):
            raise Invalid("bad-seal", "file", "was altered or cut short, or sealed with another key") from None
        self._held = number


def _file_cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"taskrepo file").derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NONCE - 1, "big") + bytes([last])
