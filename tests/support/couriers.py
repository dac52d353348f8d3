"""Processes that send and take webhooks, and may be killed at any moment.

>>> process = _SPAWN.Process(target=noting, args=(8000, tmp_path))                      # doctest: +SKIP
"""

import json
import random
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from taskrepo.commands import Claim
from taskrepo.config import Config
from taskrepo.courier import Courier
from taskrepo.destinations import networks
from taskrepo.dispatch import Schedule
from taskrepo.model import Manifest
from taskrepo.outbound import Outbound
from taskrepo.web.webhooks import shown
from tests.support.ledgers import _say, opened
from tests.support.waiting import PATIENCE

HERE = networks(["127.0.0.0/8"])
QUICK = Schedule(first=0.02, longest=0.05, give_up=10**6)


def server(config: Config, answers: Path, *, writing: bool) -> None:
    """Deliver, and write events for ever; each is said once it stands."""
    outbound = Outbound(HERE, seconds=PATIENCE)
    with opened(config) as serving, Courier(serving, shown, schedule=QUICK, outbound=outbound):
        number = 0
        while True:
            if not writing:
                time.sleep(PATIENCE)
                continue
            number += 1
            outcome = serving.create(Manifest(f"Event {number}", "d"), (), "alice", via="api")
            _say(answers, outcome.commit)
            _say(answers, serving.execute(Claim(outcome.task.id), "bob", via="api").commit)
            time.sleep(0.02)


def noting(port: int, folder: Path) -> None:
    """Note what comes, in a file for each path, and then answer; now and then say no, or nothing at all."""
    chance = random.Random()

    class Noting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Note it, and answer."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            luck = chance.random()
            if luck < 0.03:
                self.connection.close()
                return
            if luck > 0.06:
                _say(folder / self.path.strip("/"), [self.headers["webhook-id"], json.loads(body)])
            self.send_response(204 if luck > 0.06 else 500)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Noting).serve_forever()
