"""`taskrepo verify`: what an auditor asks of a clone, and what an exchange's admin asks of the exchange's own ledger.

* It asks no server and needs no key. It reads the repository that is named, else the one the current folder is in,
  else the exchange's own, which has a memory of its own: the one the running exchange goes on from.
* The exit code is 1 if anything is wrong with the history, 2 if it cannot be judged as it is here.
* What it tells ends with what to type next, where there is something to type.

>>> verify(parsed("verify clone"), Terminal()).code                                     # doctest: +SKIP
0
"""

import re
import shlex
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from taskrepo.administration import config_of
from taskrepo.audit import Audit, audit
from taskrepo.clones import Clone, Place, around, place
from taskrepo.config import Config
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.history import read_commit
from taskrepo.lineage import Parting
from taskrepo.memory import IN_REPOSITORY, Memory, own_seal
from taskrepo.model import iso
from taskrepo.tally import Count, Tally
from taskrepo.terminal import Answer, Json, Table, Terminal

_ROWS: Final = 20
_LOST: Final = 10
_FINGERPRINT: Final = re.compile("SHA256:[A-Za-z0-9+/]{43}")
_LEDGERS: Final = frozenset({"allowed_signers", "policy.yaml", "actors"})


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: the repository, and where it is remembered."""

    clone: Clone
    memory: Memory


def subject(args: Namespace) -> Subject:
    """The repository that the arguments, the current folder or the environment name. Raises `Invalid`."""
    if args.repository:
        return _of_clone(place(Path(args.repository)))
    config = config_of(args)
    if getattr(args, "data", None):
        return _of_exchange(config)
    here = around(Path.cwd())
    if config.exists and (here is None or not _is_ledger(here)):
        return _of_exchange(config)
    if here is None:
        raise Invalid("no-repository", "REPOSITORY", "is needed: this folder is in no git repository")
    return _of_clone(here)


def verify(args: Namespace, terminal: Terminal) -> Answer:
    """Judge what is new, or everything; the exit code is 1 if anything is wrong."""
    key = args.founding_key or ""
    if key and not _FINGERPRINT.fullmatch(key):
        raise Invalid("bad-fingerprint", "--key", "is not a fingerprint as ssh-keygen -l prints it: SHA256:…")
    asked = subject(args)
    recalled = asked.memory.recall()
    begun = time.monotonic()
    with terminal.progress("Verifying") as progress:
        found = audit(
            asked.clone, recalled, now=int(time.time()), whole=args.all, accept=args.accept, key=key, progress=progress
        )
    seconds = time.monotonic() - begun
    notes = [*filter(None, (_aside(asked.clone), recalled.why)), *_kept(asked.memory, found)]
    told = tuple(_told(asked, found, seconds, notes))
    return Answer(_data(asked, found, seconds, notes), told, 1 if found.failures else 0)


def _of_clone(found: Place) -> Subject:
    return Subject(Clone(found), Memory(found.common / IN_REPOSITORY, own_seal()))


def _of_exchange(config: Config) -> Subject:
    if not config.exists:
        raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")
    return Subject(Clone(place(config.repository), upstream=False), Memory(config.private / "verified.json"))


def _is_ledger(found: Place) -> bool:
    """Whether a repository looks like a ledger, sound or not: one that cannot be read may well be."""
    try:
        clone = Clone(found)
        head = clone.head()
        return head is None or set(clone.tree(clone.read(head, "commit")[5:45].decode("ascii", "replace"))) >= _LEDGERS
    except TaskrepoError:
        return True


def _aside(clone: Clone) -> str:
    """A word on a `main` that is not what is judged."""
    if clone.aside is None:
        return ""
    return f"Judged is origin/main as last fetched, not main, which is at {clone.aside[:12]}: git log origin/main..main"


def _kept(memory: Memory, found: Audit) -> Iterator[str]:
    """Remember what was found; a word if that cannot be."""
    if found.verdict is None:
        return
    try:
        memory.keep(found.verdict)
    except OSError as error:
        yield f"This cannot be remembered here ({error.strerror}): the next time everything is judged again."


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def _told(asked: Subject, found: Audit, seconds: float, notes: list[str]) -> Iterator[str | Table]:
    report, clone = found.report, asked.clone
    yield f"The ledger in {clone.found.top.resolve()} ({clone.branch.split('/', 2)[2]}):"
    yield from notes
    for failure in found.failures:
        if failure is report.problem:
            place = f"Commit {failure.commit}, number {failure.position:,} of the history, is wrong"
            yield f"{place}: {failure.code}: {failure.message}"
        else:
            yield f"{failure.code}: {failure.message}."
    if found.parted is not None:
        yield from _told_of_parting(clone, found.parted)
    sound = f"{_number(report.commits, 'commit')} and {_number(report.tasks, 'task')} are as the rules make them"
    yield f"{sound}, up to {report.sound.commit}." if report.sound else "No commit is as the rules make it."
    yield _told_of_run(found, seconds)
    yield f"The exchange's founding key is {report.key_fingerprint or 'not known'}."
    if found.signed is not None:
        yield from _told_of_signatures(found.signed, found.suspect)


def _told_of_run(found: Audit, seconds: float) -> str:
    report = found.report
    if not report.judged:
        return "Nothing is new since it was verified last; --all judges everything again."
    speed = f"{report.judged:,} judged in {seconds:.1f} s, {1000 * seconds / report.judged:.1f} ms a commit"
    before = report.commits - report.judged
    return f"{speed}; the {before:,} before had been judged (--all judges them again)." if before else f"{speed}."


def _told_of_parting(clone: Clone, parted: Parting) -> Iterator[str | Table]:
    if parted.lost:
        rows = [(oid[:12], *_subject(clone, oid)) for oid in parted.lost[:_LOST]]
        yield Table(("lost", "at", "what it said"), rows)
        span = f"{parted.common}..{parted.tip}" if parted.common else parted.tip
        yield f"All that was lost: git log --first-parent {span}; to keep it: git branch lost {parted.tip}"
    where = shlex.quote(str(clone.found.top))
    yield f"It stays remembered. If you know why, take the new history for good: taskrepo verify {where} --accept"


def _subject(clone: Clone, oid: str) -> tuple[str, str]:
    """The time and the subject of a commit."""
    try:
        commit = read_commit(clone.read(oid, "commit"))
    except TaskrepoError as error:
        return "", error.message
    return iso(commit.committer.at), commit.message.decode("utf-8", "replace").partition("\n")[0]


def _told_of_signatures(signed: Tally, suspect: Mapping[str, int]) -> Iterator[str | Table]:
    total, doubted = signed.total, sum(suspect.values())
    if not total.commits:
        return
    suspicion = f", {doubted:,} with a key that was revoked for that time (suspect)" if doubted else ""
    yield f"{total.self_signed:,} are self-signed, {total.attested:,} attested by the exchange{suspicion}."
    yield f"The first is of {iso(total.first)}, the newest of {iso(total.last)}."
    actors = [(actor, f"{c.self_signed:,}", f"{c.attested:,}", *_span(c)) for actor, c in _most(signed.actors)]
    yield Table(("actor", "self-signed", "attested", "first", "newest"), actors[:_ROWS])
    keys = [
        (key, signed.keys[key][0], f"{c.commits:,}", *_span(c), f"{suspect[key]:,} suspect" if suspect.get(key) else "")
        for key, c in _most({key: count for key, (_, count) in signed.keys.items()})
    ]
    yield Table(("key", "of", "signed", "first", "newest", ""), keys[:_ROWS])
    if max(len(actors), len(keys)) > _ROWS:
        yield f"These are the first {_ROWS} of {len(actors):,} actors and {len(keys):,} keys; --json has all."


def _most(counts: Mapping[str, Count]) -> list[tuple[str, Count]]:
    return sorted(counts.items(), key=lambda item: (-item[1].commits, item[0]))


def _span(count: Count) -> tuple[str, str]:
    return iso(count.first), iso(count.last)


def _number(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


# ── the same for programs ───────────────────────────────────────────────────────────────────────────────────────────


def _data(asked: Subject, found: Audit, seconds: float, notes: list[str]) -> Json:
    report, parted, total = found.report, found.parted, found.signed and found.signed.total
    return {
        "repository": str(asked.clone.found.top.resolve()),
        "branch": asked.clone.branch,
        "head": report.head,
        "commits": report.commits,
        "tasks": report.tasks,
        "judged": report.judged,
        "seconds": round(seconds, 3),
        "key_fingerprint": report.key_fingerprint,
        "first_at": iso(total.first) if total and total.commits else None,
        "newest_at": iso(total.last) if total and total.commits else None,
        "problem": asdict(found.failures[0]) if found.failures else None,
        "failures": [asdict(failure) for failure in found.failures],
        "rewritten": parted and _parting_data(asked.clone, parted),
        "signatures": found.signed and _signatures(found.signed, found.suspect),
        "notes": notes,
    }


def _parting_data(clone: Clone, parted: Parting) -> Json:
    lost = [dict(zip(("commit", "at", "subject"), (oid, *_subject(clone, oid)), strict=True)) for oid in parted.lost]
    return {
        "remembered": {"commit": parted.tip, "position": parted.position},
        "common": {"commit": parted.common, "position": parted.at} if parted.common else None,
        "exact": parted.exact,
        "lost_count": parted.position - parted.at if parted.exact else None,
        "lost": lost,
    }


def _signatures(signed: Tally, suspect: Mapping[str, int]) -> Json:
    total = signed.total
    return {
        "self_signed": total.self_signed,
        "attested": total.attested,
        "suspect": sum(suspect.values()),
        "actors": [{"actor": actor, **_counts(count)} for actor, count in _most(signed.actors)],
        "keys": [
            {"key": key, "owner": signed.keys[key][0], **_counts(count), "suspect": suspect.get(key, 0)}
            for key, count in _most({key: count for key, (_, count) in signed.keys.items()})
        ],
    }


def _counts(count: Count) -> Json:
    return {
        "self_signed": count.self_signed, "attested": count.attested, "first_at": iso(count.first),
        "newest_at": iso(count.last),
    }  # fmt: skip
