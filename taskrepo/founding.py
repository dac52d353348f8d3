"""Founding an exchange in an empty folder, and giving its repository back what every ledger of ours needs.

* A founding that was cut short has left nothing that stands in the way of the next.

>>> found(Config(Path("data/exchange")))                                                # doctest: +SKIP
'4f2c…'
"""

from contextlib import suppress
from importlib.resources import files as resources
from pathlib import Path

from filelock import FileLock

from taskrepo import directory as rolls
from taskrepo import history, hooks, roster
from taskrepo.commands import Found
from taskrepo.config import Config
from taskrepo.directory import EXCHANGE_ACTOR
from taskrepo.durable import sync_folder
from taskrepo.errors import Refused
from taskrepo.ledger import Ledger
from taskrepo.model import EXCHANGE, Policy
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.writer import Draft


def found(config: Config, *, admin: str = "admin", admin_name: str = "Admin", policy: Policy | None = None) -> str:
    """Make a new exchange in an empty data folder; returns its first commit.

    Raises `Refused("duplicate-id")` if there is one already.
    """
    _make(config.data)
    with FileLock(config.writer_lock, timeout=30):
        if config.exists:
            raise Refused("duplicate-id", f"{config.data} holds an exchange already")
        config.private.mkdir(mode=0o700, exist_ok=True)
        signer = _founding_key(config)
        config.repository.mkdir(exist_ok=True)
        hooks.install(config.repository / "hooks")
        store = Store.create(config.repository)
        command = Found(EXCHANGE, signer.public_line, signer.fingerprint, admin, admin_name, policy or Policy())
        draft = Draft(Ledger(store), signer, None)
        event = rolls.decide(None, command, EXCHANGE_ACTOR, draft.now())
        readme = resources("taskrepo.schema").joinpath("ledger-readme.md").read_bytes()
        writes = {**roster.render(None, rolls.evolve(None, event)), roster.README: readme}
        entry = history.entry_of(event, None, None, via="cli", previous=None, request_id=None)
        commit = draft.append(entry, EXCHANGE_ACTOR, event.at, writes)
        store.publish(draft.batch, None, commit)
        return commit


def repair(config: Config) -> list[str]:
    """Give the ledger's repository the settings and hooks of this version, as `found` would; returns what was wrong.

    The exchange may be served meanwhile. Raises `Invalid("bad-config")` for what only a person can mend.
    """
    folder = config.repository / "hooks"
    wrong = hooks.faults(folder)
    if wrong:
        hooks.install(folder)
    return [f"the setting {name}" for name in Store(config.repository).repair_settings()] + wrong


def _make(folder: Path) -> None:
    """Make a folder, and those it is in, durably; one that cannot be looked into was there, and is its owner's."""
    fresh = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in {folder.parent, *(path.parent for path in fresh)}:
        with suppress(PermissionError):
            sync_folder(path)


def _founding_key(config: Config) -> Signer:
    """The key of an exchange to be; one that a founding cut short has left, and has signed nothing yet, will do."""
    if not config.signing_key.exists():
        fresh = config.private / "signing_key.new"
        fresh.unlink(missing_ok=True)
        Signer.generate(fresh)
        fresh.rename(config.signing_key)
        sync_folder(config.private)
    return Signer.load(config.signing_key)
