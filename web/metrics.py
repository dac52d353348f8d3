"""Metrics in Prometheus' text format: requests, writes, and how the exchange is doing.

* The registry is the application's own; two of them in one process do not meet.
* Labels have few values: routes by template, methods and codes that are known, states and doors. No actor is one.
* What is counted at each request is three numbers; everything else is read when somebody asks for the metrics.
* They are for who the operator named by network (`--metrics-allow`), and for an admin with a key.

>>> ROUTES[0][:2]
('GET', '/metrics')
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import bottle
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from taskrepo.addresses import Network, is_within
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.lobby import Lobby
from taskrepo.vitals import Written
from taskrepo.web.basic_auth import basic_caller
from taskrepo.web.observing import Seen

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_WRITING: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The instruments of one application. Safe to use from many threads."""

    def __init__(self, exchange: Exchange, lobby: Lobby, allowed: Sequence[Network] = ()) -> None:
        """`allowed` are the networks from where anybody may read them."""
        self._exchange, self._lobby, self._allowed = exchange, lobby, allowed
        self._reading = Lock()
        self._server: Mapping[str, int] = {}
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._registry = registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"taskrepo_{name}", about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"taskrepo_{name}", about, labels, registry=registry, buckets=buckets)

        self._requests = counter("http_requests", "Requests, by their answer.", "route", "method", "status")
        self._seconds = histogram("http_request_seconds", "From head to answer; waits count.", _SECONDS, "route")
        self._refusals = counter("refusals", "Requests that were refused, by code.", "code")
        self._transitions = counter("transitions", "Events that became durable here.", "event", "door")
        self._batches = histogram("write_batch_requests", "Requests that were written together.", _BATCH)
        self._lock = histogram("write_lock_seconds", "Waiting for the writer's lock.", _WRITING)
        self._judging = histogram("write_judge_seconds", "Judging and rendering a batch.", _WRITING)
        self._publishing = histogram("write_commit_seconds", "Making a batch durable: fsync and main.", _WRITING)
        ProcessCollector(registry=registry)
        registry.register(self)
        exchange.vitals.watch(self.wrote)

    def saw(self, seen: Seen) -> None:
        """A request was answered."""
        known = (seen.route, seen.method, seen.status // 100)
        series = self._series.get(known) or self._series_of(known)
        series[0].inc()
        series[1].observe(seen.seconds)
        if seen.code:
            self._refusals.labels(seen.code).inc()

    def _series_of(self, known: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        """The two series of a request, which are looked up once: that takes longer than counting."""
        route, method, status = known
        counter = self._requests.labels(route, method, f"{status}xx" if status else "gone")
        made = self._series[known] = counter, self._seconds.labels(route)
        return made

    def wrote(self, written: Written) -> None:
        """A batch became durable."""
        for event, door in written.events:
            self._transitions.labels(event, door).inc()
        self._batches.observe(written.requests)
        self._lock.observe(written.lock_seconds)
        self._judging.observe(written.judge_seconds)
        self._publishing.observe(written.publish_seconds)

    def text(self, environ: Mapping[str, Any]) -> bytes:
        """All of it, in the format's version 0.0.4.

        Raises `Refused("unauthenticated" | "not-admin" | "actor-suspended")` unless who asks may know.
        """
        if not is_within(environ.get("REMOTE_ADDR", ""), self._allowed):
            caller = basic_caller(self._exchange, environ)  # type: ignore[arg-type]
            if not caller.is_admin:
                raise Refused("not-admin", "metrics are for admins, and for networks named by --metrics-allow")
        figures = environ.get("taskrepo.figures")
        with self._reading:
            self._server = figures() if figures else {}
            return generate_latest(_Plain(self._registry))

    def describe(self) -> Iterable[Metric]:
        """Nothing: what the registry would compare names by is made only when it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """What is read at the moment it is asked for."""
        now = self._exchange.vitals.read()
        server, verdict = self._server, self._exchange.auditor.status.verdict
        yield _gauge("writer_queue_requests", "Requests that wait for a batch.", now.queue)
        if now.lag is not None:
            yield _gauge("index_lag_seconds", "How far the index is behind; missing while it is built.", now.lag)
        yield _gauge("waiting_clients", "Requests that wait for an event or a task.", self._lobby.waiting)
        yield _gauge("live_leases", "Tasks that somebody holds.", now.leases)
        yield _gauge("packs", "Packs of the ledger.", now.packs)
        yield _gauge("loose_objects", "Objects of the ledger in no pack.", now.loose)
        yield _gauge("lfs_bytes", "Large files.", now.weights.get("large files", 0))
        yield _gauge("disk_free_bytes", "What the disk has left.", now.free)
        yield _family("folder_bytes", "Folders of the exchange, a minute ago at most.", "folder", now.weights)
        yield _family("tasks", "Tasks by state.", "state", now.tasks)
        yield _family("webhooks", "Webhooks: live, behind, failing, disabled.", "standing", now.webhooks)
        yield _family("server", "Connections by state, workers at work, places taken.", "what", server)
        if verdict is not None:
            yield _gauge("verified_commits", "Commits that the last verification found sound.", verdict.commits)
            yield _gauge("verifier_ok", "Whether it found all of them sound.", verdict.problem is None)


class _Plain:
    """A registry without the times at which each series began, which double their number."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"taskrepo_{name}", about, value=value)


def _family(name: str, about: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f"taskrepo_{name}", about, labels=[label])
    for each, value in values.items():
        family.add_metric([each.replace(" ", "_")], value)
    return family


def show(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /metrics`."""
    metrics: Metrics = request.environ["taskrepo.metrics"]
    return bottle.HTTPResponse(metrics.text(request.environ), 200, {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (("GET", "/metrics", show),)
