"""What an exchange is kept busy with while it is cut off, and what was acknowledged meanwhile.

* A story is a generator: each step is done before its word comes out, and a word is what was acknowledged: a `dict`
  with one member, that tells what must be there from then on (see `crash_checks`).
* The stories together go through every door and everything that is written to the disk.

>>> for word in story(exchange):                                                        # doctest: +SKIP
...     say(answers, word)
"""

import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import taskrepo.web.app
import taskrepo.web.server  # noqa: F401 — a server that is forked from here need not load them
from taskrepo import joining, packs
from taskrepo.accounts import Cost
from taskrepo.cli import main
from taskrepo.commands import AddActor, Approve, Archive, Cancel, Claim, Comment, Erase, Progress, Revise, Submit
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Manifest, Policy
from taskrepo.query import Query
from taskrepo.subscriptions import Wanted
from taskrepo.uploads import Piece
from tests.support.clones import ENVIRONMENT, Clone
from tests.support.ledgers import ACTORS, heard, made, opened, searched, task_of, upload
from tests.support.ledgers import _say as say

__all__ = ["ACTORS", "CHEAP", "heard", "say"]

CHEAP: Final = Cost(n=2, r=8, p=1)
PASSWORD: Final = "correct horse battery staple"
_LARGE: Final = 1 << 20
_PIECE: Final = 300_000
Word = dict[str, Any]
Story = Callable[[Exchange], Iterator[Word]]


def commands(exchange: Exchange) -> Iterator[Word]:
    """A task's whole life, one of a private task to its erasure, and the listing index after each."""
    note = upload(exchange, "input/a.csv", b"a,b\n1,2\n")
    made_ = exchange.create(Manifest("Count", "Count it."), (note,), "alice", via="api")
    yield {"commit": made_.commit}
    task = made_.task.id
    yield {"commit": exchange.execute(Claim(task), "bob", via="api").commit}
    exchange.heartbeat(task, 1, "bob")
    yield {"beat": [task, 1]}
    yield {"commit": exchange.execute(Progress(task, 1, 50, "half"), "bob", via="api").commit}
    searched(exchange, Query(), 5)
    yield {"commit": exchange.execute(Submit(task, 1, "done"), "bob", via="api").commit}
    yield {"commit": exchange.execute(Approve(task), "alice", via="api").commit}
    searched(exchange, Query(), 5)
    yield from _private(exchange)


def _private(exchange: Exchange) -> Iterator[Word]:
    manifest = Manifest("Whisper", "Secretly.", visibility="private", readers=("bob",))
    secret = exchange.create(manifest, (upload(exchange, "input/s.txt", b"hush"),), "alice", via="api")
    yield {"private": [secret.task.id, "Whisper"]}
    yield {"commit": exchange.execute(Cancel(secret.task.id, "enough"), "alice", via="api").commit}
    yield {"commit": exchange.execute(Archive(secret.task.id), "alice", via="api").commit}
    yield {"commit": exchange.execute(Erase(secret.task.id, "as asked"), "admin", via="api").commit}
    yield {"erased": secret.task.id}
    searched(exchange, Query(), 5)


def large(exchange: Exchange) -> Iterator[Word]:
    """Large files: sent ahead in pieces, staged, kept, replaced, and swept."""
    data = os.urandom(_PIECE) + bytes(_LARGE)
    sha256 = hashlib.sha256(data).hexdigest()
    policy = exchange.directory.policy
    for start in (0, _PIECE):
        piece = data[start : _PIECE if start == 0 else len(data)]
        came = Piece(start, len(piece), len(data))
        offset = exchange.uploads.receive("alice", sha256, io.BytesIO(piece), came, policy).offset
        yield {"offset": ["alice", sha256, offset]}
    yield {"upload": ["alice", sha256]}
    file = exchange.uploads.adopt(
        "alice", sha256, path="input/big.bin", name="big.bin", kind="task_attachment", limit=1 << 30
    )
    made_ = exchange.create(Manifest("Large", "d"), (file,), "alice", via="api")
    yield {"commit": made_.commit}
    exchange.uploads.spend("alice", sha256)
    task = made_.task.id
    other = upload(exchange, "input/b.bin", os.urandom(16) * (_LARGE // 16))
    revised = exchange.execute(Revise(task, files=(other,), drop=("input/big.bin",)), "alice", via="api")
    yield {"commit": revised.commit}
    yield {"commit": exchange.execute(Claim(task), "bob", via="api").commit}
    files = (upload(exchange, "artifacts/d.bin", os.urandom(16) * (_LARGE // 16)),)
    yield {"commit": exchange.execute(Submit(task, 1, "done", files), "bob", via="api").commit}
    exchange.sweep(int(time.time()) + 3 * policy.upload_seconds)


def credentials(exchange: Exchange) -> Iterator[Word]:
    """Keys, passwords, sessions, webhooks, saved things and locks; and the vault's own key changed."""
    accounts, now = exchange.accounts, int(time.time())
    accounts._cost = CHEAP
    key, _ = accounts.add_key("alice", "laptop", now)
    yield {"key": ["alice", key.id]}
    other, lost = accounts.add_key("alice", "lost", now)
    accounts.revoke_key(other.id, now)
    yield {"revoked": lost}
    accounts.set_password("alice", PASSWORD, now)
    yield {"password": ["alice", PASSWORD]}
    token, _ = accounts.open_session("alice", now)
    yield {"session": token}
    head = exchange.snapshot().commit
    hook, _ = exchange.webhooks.add("alice", Wanted("https://example.org/hook"), head, now)
    yield {"hook": ["alice", hook.id]}
    gone, _ = exchange.webhooks.add("alice", Wanted("https://example.org/gone"), head, now)
    exchange.webhooks.remove("alice", gone.id)
    yield {"unhooked": ["alice", gone.id]}
    exchange.preferences.keep("alice", "view", "mine", "state=claimed", now)
    yield {"commit": exchange.govern(AddActor("dora", "human", "Dora"), "admin", via="cli")}
    private = exchange.create(Manifest("W", "d", visibility="private", readers=("bob",)), (), "alice", via="api")
    yield {"private": [private.task.id, "W"]}
    exchange.privacy.vault.rotate()
    yield {"rotated": True}


def upkeep(exchange: Exchange) -> Iterator[Word]:
    """Packs and index segments joined, by the programs of their own that do it, and the index built anew."""
    folder = exchange.store.path
    words = [str(folder / "objects" / "pack"), str(folder / "taskrepo-packs.lock"), str(folder / "taskrepo-mark")]
    subprocess.run([sys.executable, "-P", "-m", packs.__name__, *words], check=True)
    yield {"merged": True}
    searched(exchange, Query(), 5)
    exchange._index.join(at_rest=True)
    joiner = exchange._index._joiner
    while joiner._process is not None and joiner._process.poll() is None:
        time.sleep(0.01)
    exchange._index.join(at_rest=False)
    yield {"joined": joining.__name__}
    yield {"commit": exchange.create(Manifest("Late", "d"), (), "alice", via="api").commit}
    exchange.follower.renew(lambda done, total: None)


STORIES: Final[dict[str, Story]] = {
    "commands": commands, "large": large, "credentials": credentials, "upkeep": upkeep,
}  # fmt: skip


def told(config: Config, answers: Path, name: str, times: int = 1) -> None:
    """Open the exchange and live a story, so many times, saying each word."""
    with opened(config) as exchange:
        for _ in range(times):
            for word in STORIES[name](exchange):
                say(answers, word)


# ── what is there before ────────────────────────────────────────────────────────────────────────────────────────────


def prepared(folder: Path) -> None:
    """A small exchange in `folder`/data, with keys in `folder`/keys.json and a clone that has something to push."""
    config = made(folder)
    with opened(config) as exchange:
        exchange.accounts._cost = CHEAP
        now = int(time.time())
        keys = {actor: exchange.accounts.add_key(actor, "rig", now)[1] for actor in ("admin", "alice", "bob")}
        say(folder / "keys.json", keys)
        say(folder / "session.json", exchange.accounts.open_session("alice", now)[0])
        tasks = [task_of(exchange) for _ in range(3)]
        searched(exchange, Query(), 5)
        clone = Clone.of(exchange, "bob", folder)
        clone.pull().ask(f"claim {tasks[0]}").ask(f"comment {tasks[0]}: on it")
    say(folder / "tasks.json", tasks)


def crowded(folder: Path, tasks: int = 70) -> None:
    """Make the small exchange one of many packs and many index segments."""
    with opened(Config(folder / "data")) as exchange:
        for number in range(tasks):
            task = task_of(exchange)
            if number < tasks // 2:
                searched(exchange, Query(), 5)
        exchange.execute(Comment(task, "the last"), "bob", via="api")


def founding(config: Config) -> None:
    """Found an exchange, or find that it was."""
    found(config, policy=Policy(max_claims=0))


# ── git and the server ──────────────────────────────────────────────────────────────────────────────────────────────


def push(clone: Path, where: str) -> None:
    """Become `git push` of what the clone has to ask."""
    words = ["git", "-C", str(clone), "push", where, "HEAD:refs/for/main"]
    os.execvpe("git", words, ENVIRONMENT)


def pushed(clone: Path, where: str) -> bool:
    """Push in a process of its own; whether the exchange took it."""
    words = ["git", "-C", str(clone), "push", where, "HEAD:refs/for/main"]
    return subprocess.run(words, env=ENVIRONMENT, capture_output=True, timeout=120).returncode == 0


def serve(config: Config, port: int, log: Path) -> None:
    """Be the server, as `taskrepo serve` is."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(main(["serve", "--data", str(config.data), "--port", str(port)]))
