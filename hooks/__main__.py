"""What git's hooks run: hand the push to the exchange, show what it says, and leave nothing else behind.

* `pre-receive` asks the exchange that is serving, or judges here if none is. What was taken the exchange has written
  itself, so the quarantine is emptied: of a push nothing but that ever enters the store.
* `proc-receive` answers `ok` for what has come so far (githooks(5)).
* Nothing of the environment is believed but what git says there: the quarantine, the push options, and who pushes.

$ git push origin HEAD:refs/for/main
>>> _packet(b"flush soon\\n")
b'000fflush soon\\n'
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

MAX_OPTIONS = 16


def pre_receive() -> int:
    """Judge a push; 0 if git may go on."""
    from taskrepo.config import Config
    from taskrepo.doorbell import ask
    from taskrepo.errors import TaskrepoError

    quarantine = os.environ.get("GIT_QUARANTINE_PATH")
    asked = {
        "quarantine": quarantine,
        "updates": [line.split() for line in sys.stdin.read().splitlines()],
        "options": list(_options(os.environ)),
        "pusher": os.environ.get("TASKREPO_PUSHER"),
    }
    config = Config(Path(os.environ.get("GIT_DIR", ".")).resolve().parent)
    try:
        answer = ask(config, asked) or _here(config, asked)
    except TaskrepoError as error:
        answer = {"ok": False, "lines": [f"refused: {error.code}: {error.message}"]}
    for line in answer["lines"]:
        print(f"taskrepo: {line}", file=sys.stderr)
    if answer["ok"] and quarantine:
        _empty(Path(quarantine))
    return 0 if answer["ok"] else 1


def _here(config: Any, asked: Any) -> Any:
    """Judge in this process: nobody is serving."""
    from taskrepo.exchange import Exchange
    from taskrepo.reception import answer_to

    with Exchange(config) as exchange:
        return answer_to(exchange, asked)


def _options(environment: Mapping[str, str]) -> Iterator[str]:
    count = min(int(environment.get("GIT_PUSH_OPTION_COUNT", "0")), MAX_OPTIONS)
    return (environment.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(count))


def _empty(folder: Path) -> None:
    """Remove every object of the push that git would now take over."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def proc_receive() -> int:
    """Tell git that every update has been dealt with."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    list(_packets(source))  # its version, and what it can do
    sink.write(_packet(b"version=1\n") + b"0000")
    sink.flush()
    for line in list(_packets(source)):
        sink.write(_packet(b"ok " + line.split()[2] + b"\n"))
    sink.write(b"0000")
    sink.flush()
    return 0


def _packets(source: BinaryIO) -> Iterator[bytes]:
    """The lines up to the next flush (gitprotocol-common(5), pkt-line)."""
    while (length := int(source.read(4) or b"0000", 16)) >= 4:
        yield source.read(length - 4)


def _packet(line: bytes) -> bytes:
    return b"%04x" % (len(line) + 4) + line


if __name__ == "__main__":
    sys.exit({"pre-receive": pre_receive, "proc-receive": proc_receive}[sys.argv[1]]())
