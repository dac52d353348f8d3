"""What the instruments that cut an exchange off share: what they run on, how they say how far they are."""

import datetime
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Final

from taskrepo.commands import AddActor
from taskrepo.config import Config
from taskrepo.founding import found
from taskrepo.model import Policy
from tests.support.ledgers import ACTORS, opened, task_of

ROOT: Final = Path(__file__).resolve().parents[1]
_AT_ONCE: Final = 32


def note(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """What it runs on."""
    return f"{cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def today() -> str:
    """The day, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def commit_id() -> str:
    """The commit of the checkout, with a plus where something in it has changed since; empty outside of one."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def filled(config: Config, tasks: int) -> int:
    """Add so many tasks, and have the listing index show them."""
    with opened(config) as exchange:
        with ThreadPoolExecutor(_AT_ONCE) as together:
            list(together.map(lambda _: task_of(exchange), range(tasks)))
        exchange.follower.catch_up()
    return tasks


def refounded(config: Config, must: bool = False) -> str:
    """Found the exchange unless it was, and have everybody register; what is wrong, if it `must` have been there."""
    if not config.exists:
        if must:
            return "acknowledged: the founding is lost"
        found(config, policy=Policy(max_claims=0))
    with opened(config) as exchange:
        for actor, kind in ACTORS:
            if actor not in exchange.directory.actors:
                exchange.govern(AddActor(actor, kind, actor.title()), "admin", via="cli")  # type: ignore[arg-type]
    return ""
