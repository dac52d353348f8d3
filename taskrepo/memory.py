"""What a verification found, kept for the next: where to go on, and what a rewritten history is told by.

* It is one small file, replaced as a whole; one that cannot be read counts as none.
* It is trusted only if the same rules judged, and if nobody but its reader can have written it: it lies in a folder of
  the reader's alone, or carries a seal (HMAC-SHA256) by a key that never leaves the reader's account. Without trust
  everything is judged again, and the commit it remembers is compared all the same.
* The rules are known by the program's own text: whoever judges by another version judges everything again.

>>> Memory(Path("verified.json")).recall().verdict is None                              # doctest: +SKIP
True
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from taskrepo import durable
from taskrepo.errors import Invalid
from taskrepo.lineage import MARKS, Mark
from taskrepo.tally import Tally
from taskrepo.verify import Problem, Sound

IN_REPOSITORY: Final = "taskrepo-verified.json"
"""The file's name in a repository's git folder, which git does not look at."""
LIMIT: Final = 16 << 20
_AGAIN: Final = "everything is judged again."
_FORMAT: Final = 1
_KEY_BYTES: Final = 32
_SEAL_LENGTH: Final = 100
_MOST: Final = 2**53
_LONGEST: Final = 4096
_OID: Final = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a finished run found: how many commits are sound, of the history up to `head`, and the first problem.

    `at` is when it ended and `whole_at` when the last run from the first commit did, in Unix seconds. `sound` is where
    to go on, and what must remain in the history; `marks` are commits before it, `signed` counts all up to it.
    """

    head: str
    commits: int
    at: int
    whole_at: int
    problem: Problem | None = None
    sound: Sound | None = None
    marks: tuple[Mark, ...] = ()
    signed: Tally | None = None

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        told = {name: getattr(self, name) for name in ("head", "commits", "at", "whole_at")}
        wrong, sound, signed = self.problem, self.sound, self.signed
        return {
            **told,
            "problem": wrong and {**asdict(wrong), "commit": wrong.commit[:40], "message": wrong.message[:_LONGEST]},
            "sound": sound and asdict(sound),
            "marks": [list(mark) for mark in self.marks],
            "signed": signed and signed.plain(),
        }

    @classmethod
    def of(cls, data: Any) -> "Verdict":
        """The verdict in plain data. Raises `Invalid("bad-memory")`."""
        try:
            problem, sound, signed = (data[name] for name in ("problem", "sound", "signed"))
            return cls(
                _oid(data["head"]), _number(data["commits"]), _number(data["at"]), _number(data["whole_at"]),
                problem and _problem(**problem), sound and _sound(**sound),
                tuple((_number(place), _oid(oid)) for place, oid in data["marks"][: MARKS + 1]),
                signed and Tally.of(signed),
            )  # fmt: skip
        except (TypeError, ValueError, KeyError, AttributeError, Invalid):
            raise Invalid("bad-memory", "verdict", "is not one that was written here") from None


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is remembered, whether it is trusted, and if there is something but no trust, why, as a sentence."""

    verdict: Verdict | None = None
    trusted: bool = True
    why: str = ""

    @property
    def known(self) -> Verdict | None:
        """The verdict; one that is not trusted without its counts, by which it stays known for untrusted when kept."""
        return self.verdict if self.trusted or self.verdict is None else replace(self.verdict, signed=None)


class Memory:
    """The file that one verdict is kept in."""

    def __init__(self, path: Path, seal: Path | None = None) -> None:
        """`seal` is the file of the reader's key, made if need be; without one, the file's folder is trusted."""
        self._path, self._seal = path, seal

    def recall(self) -> Recalled:
        """What was kept last; nothing if there is nothing that can be read."""
        try:
            data = json.loads(durable.read(self._path, LIMIT))
            verdict, rules = Verdict.of(data["verdict"]), data["rules"]
        except FileNotFoundError:
            return Recalled()
        except (OSError, ValueError, TypeError, KeyError, RecursionError, Invalid):
            return Recalled(None, False, f"{self._path.name} cannot be read, and counts as nothing.")
        if rules != _rules():
            return Recalled(verdict, False, f"Another version of taskrepo judged it before: {_AGAIN}")
        if not self._sealed(data):
            return Recalled(verdict, False, f"What is remembered here was not written by you: {_AGAIN}")
        return Recalled(verdict)

    def keep(self, verdict: Verdict) -> None:
        """Keep a verdict in place of the last. Raises `OSError`."""
        data: dict[str, Any] = {"format": _FORMAT, "rules": _rules(), "verdict": verdict.plain()}
        if len(json.dumps(data)) > LIMIT - _SEAL_LENGTH:
            data["verdict"]["signed"] = None
        if self._seal is not None:
            with suppress(OSError):  # without a seal it warns of a rewritten history all the same
                data["seal"] = _seal(data, self._key(self._seal))
        durable.put(self._path, json.dumps(data).encode(), 0o600 if self._seal is None else 0o644)
        durable.sync_folder(self._path.parent)

    def _sealed(self, data: dict[str, Any]) -> bool:
        if self._seal is None:
            return True
        given = str(data.pop("seal", "")).encode("utf-8", "replace")
        with suppress(OSError):
            return hmac.compare_digest(given, _seal(data, self._key(self._seal)).encode())
        return False

    def _key(self, path: Path) -> bytes:
        """The reader's key, made at first use."""
        with suppress(FileNotFoundError):
            return durable.read(path, _KEY_BYTES)
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            durable.create(path, secrets.token_bytes(_KEY_BYTES))
        return durable.read(path, _KEY_BYTES)


def own_seal() -> Path:
    """Where the account's key is kept, as the XDG Base Directory Specification has it."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return Path(state if state.startswith("/") else os.path.expanduser("~/.local/state")) / "taskrepo" / "seal.key"  # noqa: PTH111


def _seal(data: dict[str, Any], key: bytes) -> str:
    if len(key) != _KEY_BYTES:
        raise OSError("the key is cut short")
    return hmac.digest(key, json.dumps(data, sort_keys=True).encode(), hashlib.sha256).hex()


@cache
def _rules() -> str:
    """What stands for the rules: a hash of every file of the program that can have a part in judging."""
    digest = hashlib.sha256()
    for package in ("taskrepo", "taskrepo.schema"):
        for file in sorted(files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".json")):
                digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError
    return value


def _oid(value: Any) -> str:
    if not _OID.fullmatch(value):
        raise ValueError(value)
    return str(value)


def _problem(commit: Any, position: Any, code: Any, message: Any) -> Problem:
    return Problem(_text(commit), _number(position), _text(code), _text(message))


def _sound(commit: Any, commits: Any, tasks: Any, key: Any) -> Sound:
    return Sound(_oid(commit), _number(commits), _number(tasks), _text(key))
