"""Try harnesses for a while each: `fuzz_engine.py ENGINE SECONDS SEED FOLDER JOBS NAME…`, for tools/fuzz.

* Standard output has a line of JSON for each harness: what it came to.
* What a harness should not have raised is saved in the folder as NAME-DIGEST, once for each place that raises; then it
  goes on. What takes too long or too much memory ends it, and is saved as well.
* Modules are loaded, and instrumented, once; each harness runs in a fork, and is ended if it does not end itself.
"""

import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PARSERS: Final = [f"taskrepo.{name}" for name in ["history", "attestation", "signed_request", "signing", "guard",
    "formats", "identity", "package", "packs", "records", "sealing", "envelope", "trees", "documents", "canonical",
    "plain", "parse", "schema", "results", "evaluator", "roster", "cards", "personal", "patterns", "query",
    "rewording", "highlight", "eventfilter", "destinations", "dispatch", "vocabulary", "charsets", "structure",
    "alignment", "archives", "containers", "inspection", "zips", "answers", "web.framing", "web.intake",
    "web.download", "web.markdown", "web.diffs", "web.previews", "web.preview_text", "web.preview_data",
    "web.preview_archives", "web.taskfilters", "web.policyform", "web.personal_body", "web.lfs_format",
    "web.api_uploads", "web.compression", "web.basic_auth", "hooks"]] + ["multipart"]  # fmt: skip
"""The modules whose branches guide atheris; to instrument all would take longer than most runs."""
_LONGEST: Final = 10  # seconds that one input may take
_MOST_MIB: Final = 1024
_SPARE: Final = 120.0  # seconds that a harness may take beyond those it is told
_COVERED: Final = re.compile(r"^#\d+\s+(?:INITED|NEW|REDUCE|pulse|RELOAD|DONE)\s+cov: (\d+)", re.MULTILINE)
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units: *(\d+)", re.MULTILINE)
_SAVED: Final = re.compile(r"Test unit written to (\S+)")


class Trial:
    """A harness and what it came to so far; findings are lines of the file `told`."""

    def __init__(self, name: str, run: Callable[[bytes], object], folder: Path, told: Path) -> None:
        self._name, self._run, self._folder, self._told = name, run, folder, told
        self._places: set[str] = set()
        self.executions = 0

    def __call__(self, data: bytes) -> None:
        """Try one input; what it should not have raised is a finding."""
        self.executions += 1
        try:
            self._run(data)
        except Exception as fault:
            self._found(fault, data)

    def _found(self, fault: Exception, data: bytes) -> None:
        frames = [each for each in traceback.extract_tb(fault.__traceback__) if str(ROOT) in each.filename]
        place = f"{type(fault).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        if place not in self._places:
            self._places.add(place)
            path = self._folder / f"{self._name}-{sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            with self._told.open("a", encoding="utf-8") as told:
                told.write(json.dumps(_finding(f"{place}: {fault}"[:300], path)) + "\n")


def _finding(what: str, path: Path | None) -> dict[str, str]:
    return {"what": what, "input": str(path or ""), "again": f"tools/fuzz --reproduce {path}" if path else ""}


def main(engine: str, seconds: float, seed: int, folder: Path, jobs: int, names: list[str]) -> None:
    """Try each, `jobs` at once."""
    if engine != "plain":
        import atheris

        with atheris.instrument_imports(include=PARSERS):
            from tests.fuzz.catalogue import HARNESSES
    else:
        from tests.fuzz.catalogue import HARNESSES
    with tempfile.TemporaryDirectory(prefix="taskrepo-fuzz-") as scratch:
        running: dict[int, tuple[str, Path, float]] = {}
        waiting = list(names)
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                place = Path(scratch) / name
                place.mkdir()
                running[_forked(engine, HARNESSES[name], seconds, seed, folder, place)] = name, place, time.monotonic()
            time.sleep(0.05)
            for child, (name, place, began) in list(running.items()):
                lasted = time.monotonic() - began
                if lasted > seconds + _SPARE:
                    os.kill(child, signal.SIGKILL)
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    del running[child]
                    print(json.dumps(_outcome(name, engine, place, status, lasted)), flush=True)


def _forked(engine: str, harness: Any, seconds: float, seed: int, folder: Path, place: Path) -> int:
    child = os.fork()
    if child:
        return child
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        trial = Trial(harness.name, harness, folder, place / "findings")
        if engine == "plain":
            _blindly(harness, trial, seconds, seed)
        else:
            _guided(harness, trial, seconds, seed, folder, place, through_hypothesis=engine == "hypothesis")
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _outcome(name: str, engine: str, place: Path, status: int, seconds: float) -> dict[str, Any]:
    log = (place / "log").read_text("utf-8", "replace")
    findings = [json.loads(line) for line in (place / "findings").read_text("utf-8").splitlines()] if (
        place / "findings").exists() else []  # fmt: skip
    if status:
        saved = _SAVED.search(log)
        findings.append(_finding(f"it ended with {status}: {log.strip()[-300:]}", Path(saved[1]) if saved else None))
    covered, executed = _COVERED.findall(log), _EXECUTED.search(log)
    return {
        "name": name, "engine": engine, "executions": int(executed[1]) if executed else 0, "seconds": round(seconds, 1),
        "reached": [int(covered[0]), int(covered[-1])] if covered else None, "findings": findings,
    }  # fmt: skip


# ── engines ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _blindly(harness: Any, trial: Trial, seconds: float, seed: int) -> None:
    from tests.fuzz.mutations import mutated

    source, corpus, began = random.Random(seed), list(harness.seeds()), time.monotonic()
    while time.monotonic() < began + seconds:
        trial(mutated(source, corpus, harness.words))
    print(f"stat::number_of_executed_units: {trial.executions}")
    sys.stdout.flush()


def _guided(
    harness: Any, trial: Trial, seconds: float, seed: int, folder: Path, place: Path, *, through_hypothesis: bool
) -> None:
    import atheris

    target: Callable[[bytes], Any] = trial
    if through_hypothesis:
        from tests.fuzz.drawing import one_input

        target = one_input(harness, trial)
    corpus, words = place / "corpus", place / "words"
    corpus.mkdir()
    for number, data in enumerate(() if through_hypothesis else harness.seeds()):
        (corpus / str(number)).write_bytes(data)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in harness.words), "ascii")
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", f"-dict={words}", "-max_len=16384",
         f"-timeout={_LONGEST}", f"-rss_limit_mb={_MOST_MIB}", f"-artifact_prefix={folder}/{harness.name}-",
         "-print_final_stats=1", str(corpus)], target, internal_libfuzzer=True,
    )  # fmt: skip
    atheris.Fuzz()  # which ends the process by itself


def _escaped(word: bytes) -> str:
    return "".join(chr(c) if 32 < c < 127 and c not in b'"\\' else f"\\x{c:02x}" for c in word)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]), sys.argv[6:])
