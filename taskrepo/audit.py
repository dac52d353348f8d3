"""One look at a ledger by somebody who has looked before: judges what is new, and notices a history that was rewritten.

* What was found sound must remain: if the remembered commit is no longer in the history, that is a failure, whatever
  the new history is like, and it stays remembered until somebody says to accept the new one.
* So is another founding key than the remembered or the expected one: then it is the ledger of another exchange.
* Everything is judged again if somebody wishes it or the memory is not trusted; else what follows the remembered
  commit, or where the history was rewritten, what follows the newest commit that is still the same.

>>> audit(Clone(place(Path("clone"))), Recalled(), now=0).failures                      # doctest: +SKIP
()
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from taskrepo.attestation import Attestation, keys_of, suspect_since
from taskrepo.clones import Clone
from taskrepo.errors import Invalid
from taskrepo.history import Commit, Entry
from taskrepo.ledger import Ledger
from taskrepo.lineage import Line, Mark, Parting, parting, thinned
from taskrepo.memory import Recalled, Verdict
from taskrepo.tally import Tally
from taskrepo.verify import Problem, Progress, Report, Sound, verify

REWRITTEN: Final = "rewritten-history"
FOUNDING: Final = "founding-key"
ALARMS: Final = frozenset({REWRITTEN, FOUNDING})
"""The failures that are not of a commit but of the whole history, compared with what is remembered or expected."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of a look: the run's report, all failures, and what to remember, if anything.

    `parted` tells how the history was rewritten. `signed` counts all sound commits, unless it was; `suspect` those that
    a key signed (by fingerprint) from the moment on from which it was said not to be trusted.
    """

    report: Report
    failures: tuple[Problem, ...]
    verdict: Verdict | None
    parted: Parting | None
    signed: Tally | None
    suspect: dict[str, int]


def audit(
    clone: Clone,
    recalled: Recalled,
    *,
    now: int,
    whole: bool = False,
    accept: bool = False,
    key: str = "",
    progress: Progress = lambda done, total: None,
) -> Audit:
    """Judge what is new, and compare the history with what is remembered. Raises `Invalid` as `verify` does.

    `whole` judges everything; `accept` takes this history in place of the remembered one. `key` is the fingerprint of
    the founding key that is expected; else it is the remembered one. `now` is Unix seconds.
    """
    before = None if accept else recalled.known
    known = before.sound if before else None
    parted = _parted(clone, before)
    start = None if whole else _start(clone, before, parted)
    counted = _Counted(before if before and start == known else None)
    report = verify(clone, progress=progress, since=start, heard=counted.heard)
    failures = tuple(_failures(report, known, parted, key, counted))
    verdict = _verdict(report, failures, before, counted, now)
    signed = counted.signed if start == known or counted.whole else None
    return Audit(report, failures, verdict, parted, signed, _suspect(clone, report, signed))


class _Counted:
    """Counts what is found good, on top of what is remembered."""

    def __init__(self, before: Verdict | None) -> None:
        self.signed = copy.deepcopy(before.signed) if before and before.signed else Tally()
        self.marks: tuple[Mark, ...] = before.marks if before else ()
        self.whole = False
        """Whether the run came from the first commit."""

    def heard(self, position: int, oid: str, commit: Commit, entry: Entry, attestation: Attestation) -> None:
        """Count a commit; the first begins anew."""
        if position == 1:
            self.signed, self.marks, self.whole = Tally(), (), True
        self.signed.add(commit, entry, attestation)
        self.marks = thinned((*self.marks, (position, oid)))


def _parted(clone: Clone, before: Verdict | None) -> Parting | None:
    """How the history parted from the remembered one; `None` if it goes on from there, or cannot be read."""
    head = clone.head()
    if head is None or before is None or before.sound is None:
        return None
    try:
        line, met = Line.back(clone, head, before.sound.commit)
    except Invalid:
        return None  # verifying says where
    return None if met else parting(clone, line, before.sound.commit, before.sound.commits, before.marks)


def _start(clone: Clone, before: Verdict | None, parted: Parting | None) -> Sound | None:
    """After which commit to go on."""
    if before is None or before.sound is None:
        return None
    known, problem = before.sound, before.problem
    if problem is not None and problem.code not in ALARMS and problem.position <= known.commits:
        return None  # found in what had been sound, by a run from the first commit: only another can clear it
    if before.signed is None:
        return None  # what is remembered was not trusted
    if parted is None:
        return known
    if not (parted.common and parted.exact):
        return None
    tasks = sum(1 for _ in Ledger(clone).snapshot(parted.common).ids())
    return Sound(parted.common, parted.at, tasks, known.key)


def _failures(
    report: Report, known: Sound | None, parted: Parting | None, key: str, counted: _Counted
) -> Iterator[Problem]:
    expected, whose = (key, "expected") if key else (known.key if known else "", "remembered here")
    found = report.key_fingerprint
    if expected and found and found != expected:
        first = counted.marks[0][1] if counted.marks else report.head
        yield Problem(first, 1, FOUNDING, f"the ledger was founded with the key {found}, not {expected}, as {whose}")
    if parted is not None:
        yield Problem(parted.tip, parted.position, REWRITTEN, _told(parted, report.head))
    if report.problem is not None:
        yield report.problem


def _told(parted: Parting, head: str) -> str:
    """What became of the remembered history, in a sentence."""
    gone = f"commit {parted.tip}, number {parted.position:,} and found sound before, is no longer in the history"
    if not parted.exact:
        least = f"up to {parted.common}, number {parted.at:,}, nothing has changed" if parted.common else ""
        return f"{gone}, and what was lost can no longer be read here{least and '; ' + least}"
    lost = parted.position - parted.at
    commits = "1 commit was lost" if lost == 1 else f"{lost:,} commits were lost"
    if not parted.common:
        return f"{gone}: no commit of it is; {commits}"
    if parted.common == head:
        return f"{gone}, which was cut short after {parted.common}, number {parted.at:,}; {commits}"
    return f"{gone}, which is another one after {parted.common}, number {parted.at:,}; {commits}"


def _verdict(
    report: Report, failures: tuple[Problem, ...], before: Verdict | None, counted: _Counted, now: int
) -> Verdict | None:
    """What to remember now."""
    problem = failures[0] if failures else None
    alarmed = problem is not None and problem.code in ALARMS
    known = before.sound if before else None
    if alarmed and known is None:
        return None
    whole_at = before.whole_at if before and not counted.whole else now
    verdict = Verdict(report.head, report.commits, now, whole_at, problem, report.sound, counted.marks, counted.signed)
    if before and known and (alarmed or report.commits < known.commits):
        return replace(verdict, sound=known, marks=before.marks, signed=before.signed)
    return verdict


# ── keys that are not to be trusted any more ────────────────────────────────────────────────────────────────────────


def _suspect(clone: Clone, report: Report, signed: Tally | None) -> dict[str, int]:
    """How many commits each revoked key signed from the moment on from which it is not to be trusted.

    Only if there are any is the history walked, back to the earliest such moment.
    """
    if signed is None or report.sound is None:
        return {}
    ledger = Ledger(clone)
    snapshot = ledger.snapshot(report.sound.commit)
    keys = keys_of(snapshot.directory)
    newest = {key: suspect_since(keys, owner, key, count.last) for key, (owner, count) in signed.keys.items()}
    found = {key: 0 for key, since in newest.items() if since is not None}
    begin = min((since for since in newest.values() if since is not None), default=0)
    for oid, _ in clone.history(snapshot.commit) if found else ():
        happening = ledger.happening(oid)
        at = happening.commit.committer.at
        if at < begin:
            break  # times never decrease along the line
        for made in ledger.attestation(happening).signatures:
            if suspect_since(keys, made.owner, made.fingerprint, at) is not None:
                found[made.fingerprint] += 1
    return found
