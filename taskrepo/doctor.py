"""`taskrepo doctor`: looks at an exchange's folder and says what is right and what is not.

* It changes nothing unless it is told to repair: what is wrong is named together with what mends it.
* A repair mends what is safe to mend, and with a backup brings back what is missing or damaged (`mending`); whatever it
  replaces is moved aside. The rest is for a person.
* The checks are those of `checkup`, made one after the other; the exchange may be served meanwhile.

>>> doctor(parsed("doctor --data /srv/exchange"), Terminal()).data["ok"]                # doctest: +SKIP
True
"""

import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from taskrepo.administration import config_of
from taskrepo.aside import Aside
from taskrepo.checkup import checks
from taskrepo.config import Config
from taskrepo.depot import Depot
from taskrepo.errors import Invalid
from taskrepo.mending import mend
from taskrepo.restore import source_of
from taskrepo.terminal import Answer, Table, Terminal


def doctor(args: Namespace, terminal: Terminal) -> Answer:
    """Make all checks, after the repair if one is asked for; the exit code is 1 if anything is wrong."""
    config, now = config_of(args), int(time.time())
    depots = [Depot(source_of(each)[0]) for each in args.backups or ()]
    if depots and not args.repair:
        raise Invalid("usage", "--from", "says what to repair from; give --repair, too")
    _check_place(config, bool(depots))
    repaired: list[str] = []
    if args.repair:
        with terminal.progress("Repairing") as progress:
            repaired = mend(config, depots, now=now, progress=progress)
    _check_place(config, False)
    with terminal.progress("Reading tasks") as progress:
        made = list(checks(config, progress))
    wrong = sum(not check.ok for check in made)
    rows = [("ok" if check.ok else "WRONG", check.name, check.found) for check in made]
    verdict = f"{wrong} of {len(made)} checks found something wrong." if wrong else "All is well."
    aside = Aside(config.data, now).folder
    data = {
        "ok": not wrong, "repaired": repaired, "set_aside": str(aside) if aside.exists() else None,
        "checks": [asdict(check) for check in made],
    }  # fmt: skip
    told: tuple[str | Table, ...] = (*_told(repaired, aside), Table(("verdict", "check", "found"), rows), verdict)
    return Answer(data, told, 1 if wrong else 0)


def _check_place(config: Config, keyless: bool) -> None:
    """Raises `Invalid("no-exchange")`; a ledger without its signing key will do where that can be brought back."""
    if config.exists or (keyless and (config.repository / "objects").is_dir()):
        return
    if (config.repository / "objects").is_dir() and not config.signing_key.exists():
        told = "has a ledger, but no signing key (private/signing_key): bring it back from wherever you keep `private`"
        raise Invalid("no-exchange", str(config.data), f"{told}, or with: taskrepo doctor --repair --from BACKUP")
    raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")


def _told(repaired: list[str], aside: Path) -> Iterator[str]:
    if repaired:
        yield f"Repaired: {'; '.join(repaired)}."
    if repaired and aside.exists():
        yield f"What was replaced is in {aside}; delete it once you are sure that all is well."
