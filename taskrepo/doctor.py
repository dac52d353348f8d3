"""`taskrepo doctor`: looks at an exchange's folder and says what is right and what is not.

* It changes nothing unless it is told to repair: what is wrong is named together with what mends it.
* A repair gives the ledger's repository the settings and hooks of this version; the rest is for a person to mend.
* The checks are those of `checkup`, made one after the other; the exchange may be served meanwhile.

>>> doctor(parsed("doctor --data /srv/exchange"), Terminal()).data["ok"]                # doctest: +SKIP
True
"""

from argparse import Namespace
from dataclasses import asdict

from taskrepo.administration import config_of
from taskrepo.checkup import checks
from taskrepo.errors import Invalid
from taskrepo.founding import repair
from taskrepo.terminal import Answer, Table, Terminal


def doctor(args: Namespace, terminal: Terminal) -> Answer:
    """Make all checks, after the repair if one is asked for; the exit code is 1 if anything is wrong."""
    config = config_of(args)
    if not config.exists:
        raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")
    repaired = repair(config) if args.repair else []
    with terminal.progress("Reading tasks") as progress:
        made = list(checks(config, progress))
    wrong = sum(not check.ok for check in made)
    rows = [("ok" if check.ok else "WRONG", check.name, check.found) for check in made]
    verdict = f"{wrong} of {len(made)} checks found something wrong." if wrong else "All is well."
    told = (f"Repaired: {'; '.join(repaired)}.",) if repaired else ()
    data = {"ok": not wrong, "repaired": repaired, "checks": [asdict(check) for check in made]}
    return Answer(data, (*told, Table(("verdict", "check", "found"), rows), verdict), 1 if wrong else 0)
