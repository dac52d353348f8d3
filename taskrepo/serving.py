"""`taskrepo serve`: an exchange behind its doors, as the operator's options and environment say.

* What the options say is checked before anything is opened; nothing is served by an option that was misread.
* Whatever an option can say once for all, an environment variable can, too; the option counts first.
* It ends on SIGTERM or SIGINT once what was accepted is answered, and at once on the second of them.

>>> listed(["10.0.0.0/8"], "TASKREPO_TRUSTED_PROXIES")
['10.0.0.0/8']
"""

import logging
import os
import re
from argparse import Namespace
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from taskrepo import interpreter, logs
from taskrepo.addresses import Network
from taskrepo.administration import config_of
from taskrepo.config import DEFAULT_HOST, DEFAULT_PORT
from taskrepo.courier import Courier
from taskrepo.destinations import networks
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.founding import repair
from taskrepo.housekeeping import Housekeeping
from taskrepo.rates import Rates, parse_rates
from taskrepo.reception import Reception
from taskrepo.supervision import Supervisor
from taskrepo.terminal import Answer, Terminal
from taskrepo.web.app import make_app
from taskrepo.web.server import Limits
from taskrepo.web.server import serve as serve_app
from taskrepo.web.webhooks import shown

_BASE_URL: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_MOST_GRACE: Final = 3600
_OFF: Final = ("off", "0", "no", "false")
_log: Final = logging.getLogger("taskrepo.serving")


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator wants, read and checked."""

    host: str
    port: int
    base_url: str | None
    webhooks: tuple[Network, ...]
    proxies: tuple[Network, ...]
    metrics: tuple[Network, ...]
    rates: Rates
    grace: float
    log: logs.Format
    access: bool


def listed(given: list[str] | None, variable: str) -> list[str]:
    """What an option was given, or else what its variable of the environment holds, separated by commas."""
    return given or [part.strip() for part in os.environ.get(variable, "").split(",") if part.strip()]


def options(args: Namespace) -> Options:
    """The options. Raises `Invalid` that names the one which cannot be read."""
    base = args.base_url
    if not 0 <= args.grace <= _MOST_GRACE:
        raise Invalid("usage", "--grace", f"is a number of seconds from 0 to {_MOST_GRACE}")
    if base is not None and not _BASE_URL.fullmatch(base):
        raise Invalid("usage", "--base-url", f"{base[:60]!r} is not an address like https://tasks.example.org")
    return Options(
        host=args.host or DEFAULT_HOST,
        port=DEFAULT_PORT if args.port is None else args.port,
        base_url=base,
        webhooks=networks(listed(args.webhooks_allow, "TASKREPO_WEBHOOKS_ALLOW")),
        proxies=networks(listed(args.trusted_proxy, "TASKREPO_TRUSTED_PROXIES")),
        metrics=networks(listed(args.metrics_allow, "TASKREPO_METRICS_ALLOW")),
        rates=parse_rates(listed(args.rate, "TASKREPO_RATES")),
        grace=args.grace,
        log=_log_format(args.log_format),
        access=args.access_log and os.environ.get("TASKREPO_ACCESS_LOG", "on").lower() not in _OFF,
    )


def _log_format(given: str | None) -> logs.Format:
    found = logs.chosen(given)
    if found not in logs.FORMATS:
        raise Invalid("usage", "--log-format", f"{found[:20]!r} is not one of {', '.join(logs.FORMATS)}")
    return found


def serve(args: Namespace, terminal: Terminal) -> Answer:
    """Serve until SIGTERM or SIGINT."""
    wanted, config, supervisor = options(args), config_of(args), Supervisor()

    def ready(url: str) -> None:
        told = {"url": url, "pid": os.getpid(), "version": version("taskrepo"), "workers": args.workers}
        _log.info("serves", extra={"fields": told})
        supervisor.ready()
        terminal.show(Answer({"url": url}, (f"taskrepo serves {config.data} at {url}",)))

    interpreter.settle()
    with logs.logging_to(format=wanted.log), Exchange(config) as exchange:
        put_right(exchange, terminal)
        exchange.follower.start()
        exchange.webhooks.networks = wanted.webhooks
        with Housekeeping(exchange), Reception(exchange), Courier(exchange, shown, source=wanted.base_url or ""):
            app = make_app(
                exchange, base_url=wanted.base_url, rates=wanted.rates, proxies=wanted.proxies,
                metrics_allow=wanted.metrics, observers=(logs.access,) if wanted.access else (),
            )  # fmt: skip
            limits = Limits(proxies=wanted.proxies, stop_seconds=wanted.grace)
            serve_app(
                app, wanted.host, wanted.port, server=args.server, workers=args.workers, on_ready=ready, limits=limits,
                on_turn=supervisor.alive,
            )  # fmt: skip
        _log.info("has stopped")
    return Answer(None)


def put_right(exchange: Exchange, terminal: Terminal) -> None:
    """Give a repository that an earlier version founded what this one needs of git."""
    try:
        for mended in repair(exchange.config):
            terminal.say(f"Mended in the ledger's repository: {mended}.")
    except (OSError, TaskrepoError) as error:
        terminal.say(f"The ledger's repository cannot be put right ({error}); taskrepo doctor says what is wrong.")
