"""`taskrepo serve` as an operator runs it: a process of its own, its log in a file, ended by a signal.

>>> with serving(tmp_path, "--log-format", "json") as server:                           # doctest: +SKIP
...     server.site.get("alice", "/me").status
200
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskrepo.commands import AddActor
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Policy
from tests.support.http import ACTORS, CHEAP, Site
from tests.support.waiting import PATIENCE

SCRIPT = Path(sys.executable).parent / "taskrepo"


class Server:
    """The process. `site` is the exchange as clients see it, which this process has open as well."""

    def __init__(
        self, exchange: Exchange, keys: dict[str, str], log: Path, words: tuple[str, ...], env: dict[str, str]
    ) -> None:
        self.log, self.exchange = log, exchange
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKREPO_")}
        command = [SCRIPT, "serve", "--port", "0", "--json", "--data", str(exchange.config.data), *words]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env={**kept, **env})
        self.site = Site(exchange, self._url(), keys)

    def _url(self) -> str:
        assert self.process.stdout is not None
        told = b""
        while not told.rstrip().endswith(b"}"):
            line = self.process.stdout.readline()
            assert line, self.log.read_text()
            told += line
        return str(json.loads(told)["url"])

    @property
    def lines(self) -> list[str]:
        """What it has logged."""
        return self.log.read_text("utf-8").splitlines()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, unless it has ended; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(folder: Path, *words: str, **env: str) -> Iterator[Server]:
    """A new exchange with the usual actors, served by a process of its own until the block ends."""
    config = Config(folder / "exchange")
    found(config, policy=Policy(max_claims=0))
    with Exchange(config) as exchange:
        for actor, kind in ACTORS:
            exchange.govern(AddActor(actor, kind, actor.title()), "admin", via="cli")  # type: ignore[arg-type]
        exchange.accounts._cost = CHEAP
        now = int(time.time())
        keys = {actor: exchange.accounts.add_key(actor, "test", now)[1] for actor in ("admin", *dict(ACTORS))}
        server = Server(exchange, keys, folder / "serve.log", words, env)
        try:
            yield server
        finally:
            server.site.close()
            server.end(signal.SIGKILL)
            if server.process.stdout is not None:
                server.process.stdout.close()
