"""Secrets and what is kept of them: keys, passwords, tokens. No disk, no clock.

* A secret has at least 135 random bits; what is kept is its SHA-256, which nobody can turn back.
* A password is kept as scrypt (RFC 7914) of its NFC form, so the same keys typed elsewhere give the same bytes.
* An anti-forgery token is derived from its session's token, so whoever reads the file learns none.
* A session's id is derived from what is kept of its token, and so tells nothing of either.

>>> len(digest("tr_00000000_000000000000000000000000000")), password_bytes("short")
(32, None)
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

from taskrepo.errors import Invalid

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case
SECRET: Final = re.compile(rf"tr_(?P<id>[{_ALPHABET}]{{8}})_[{_ALPHABET}]{{27}}")
_ACTOR: Final = re.compile("[a-z][a-z0-9-]{0,38}")
NO_HASH: Final = bytes(32)
PASSWORD_LENGTH: Final = range(10, 1000 + 1)  # characters, after NFC


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret. `id` is the public part of the secret: `tr_<id>_…`."""

    id: str
    actor: str
    name: str
    created_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `csrf` is the anti-forgery token its forms carry; `expires_at` cannot slide."""

    actor: str
    csrf: str
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session without its token. `id` names it to its owner; `browser` is the empty string if nobody noted it."""

    id: str
    created_at: int
    seen_at: int
    expires_at: int
    browser: str = ""


@dataclass(frozen=True, slots=True)
class SignIns:
    """How an actor signs in: since when with a password, and how many sessions there are, last used when."""

    actor: str
    password_at: int | None
    sessions: int
    seen_at: int | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What scrypt spends (RFC 7914): 128·n·r bytes, p times over. The default is OWASP's advice for 16 MiB."""

    n: int = 2**14
    r: int = 8
    p: int = 5

    def hash(self, password: bytes, salt: bytes) -> bytes:
        """32 bytes."""
        room = 128 * self.r * (self.n + self.p + 2) + 2**20
        return hashlib.scrypt(password, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=room, dklen=32)


DEFAULT_COST: Final = Cost()


def draw(count: int) -> str:
    """So many random characters of Crockford's base32, five bits each."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def digest(secret: str) -> bytes:
    """What is stored of a key or token: its SHA-256, 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def session_id(kept: bytes) -> str:
    """What names a session of which `kept` is stored: 20 hex digits, from which nobody can tell what is stored."""
    return hashlib.sha256(b"session id\x00" + kept).hexdigest()[:20]


def anti_forgery(token: str) -> str:
    """The anti-forgery token of the session with this token, 64 hex digits."""
    return hmac.digest(token.encode("utf-8", "replace"), b"csrf", "sha256").hex()


def password_bytes(password: str) -> bytes | None:
    """The bytes to hash: NFC, so that the same keys typed on another keyboard give the same bytes (RFC 8265)."""
    if len(password) > 4 * PASSWORD_LENGTH.stop:
        return None
    text = unicodedata.normalize("NFC", password)
    fits = len(text) in PASSWORD_LENGTH and not any("\ud800" <= char <= "\udfff" for char in text)
    return text.encode() if fits else None


def is_actor(actor: str) -> bool:
    """Whether the text could be an actor id."""
    return _ACTOR.fullmatch(actor) is not None


def check_actor(actor: str) -> str:
    """The actor id. Raises `Invalid("bad-actor")`."""
    if not is_actor(actor):
        raise Invalid("bad-actor", "actor", "it is not an actor id")
    return actor


def check_name(name: str) -> str:
    """The name of a key. Raises `Invalid("bad-name")`."""
    if not (1 <= len(name) <= 100 and name.isprintable() and name.strip()):
        raise Invalid("bad-name", "name", "it needs 1 to 100 printable characters")
    return name
