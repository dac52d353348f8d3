"""Metrics as Prometheus reads them: for whom, what they tell, and that their labels are few whatever is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from taskrepo.destinations import networks
from taskrepo.vitals import loose_objects
from taskrepo.web.metrics import Metrics
from taskrepo.web.observing import Seen, observed
from tests.support.githttp import address, git
from tests.support.http import Site, running, served
from tests.support.waiting import until

LOCAL = networks(["127.0.0.1"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running exchange whose metrics are for this machine."""
    with running(tmp_path_factory.mktemp("metrics"), metrics_allow=LOCAL) as site:
        yield site


def read(site: Site, **headers: str) -> Any:
    """The answer to a scrape."""
    return urllib3.request("GET", f"{site.url}/metrics", headers=headers, retries=False)


def samples(site: Site) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of their names."""
    text = read(site).data.decode()
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def counted(site: Site, *wanted: tuple[str, ...]) -> dict[tuple[str, ...], float]:
    """The samples as soon as these are among them: a request is counted once its answer has been handed over."""
    until(lambda: set(wanted) <= samples(site).keys())
    return samples(site)


@contextmanager
def again(site: Site, **options: Any) -> Iterator[Site]:
    """The same exchange, served a second time."""
    with served(site.exchange, **options) as url:
        other = Site(site.exchange, url, site.keys)
        try:
            yield other
        finally:
            other.close()


def test_metrics_are_for_admins(site: Site) -> None:
    """Without a named network it takes an admin's key, in either form; a refusal is a problem."""
    with again(site) as closed:
        assert read(closed).status == 401
        assert read(closed, Authorization=f"Bearer {site.keys['bob']}").json()["code"] == "not-admin"
        answer = read(closed, Authorization=f"Bearer {site.keys['admin']}")
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        basic = urllib3.make_headers(basic_auth=f"admin:{site.keys['admin']}")
        assert read(closed, **basic).status == 200


def test_a_named_network_is_the_clients(site: Site) -> None:
    """Behind a named proxy the client's address counts, not the proxy's, though that is of the network."""
    with again(site, metrics_allow=LOCAL, proxies=LOCAL) as behind:
        assert read(behind).status == 200
        assert read(behind, **{"X-Forwarded-For": "198.51.100.7"}).status == 401


def test_what_is_done_is_counted(site: Site) -> None:
    """Requests, refusals, events by door, batches, tasks by state, leases: as they were, and no more."""
    before = samples(site)
    task = site.task()
    assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
    assert site.post("bob", f"/tasks/{task}/claim", {}).code == "already-claimed"
    assert site.get("bob", "/tasks/zzzzzzzz").code == "unknown-task"
    site.exchange.follower.wait_for("bob")
    until(lambda: samples(site).get(("taskrepo_live_leases",)))
    claim = "/api/v1/tasks/{task}/claim"
    told = "taskrepo_http_requests_total"
    now = counted(site, (told, "POST", claim, "4xx"), (told, "GET", "/api/v1/tasks/{task}", "4xx"))

    def grew(*name: str) -> float:
        return now[name] - before.get(name, 0.0)

    assert grew(told, "POST", claim, "2xx") == grew(told, "POST", claim, "4xx") == 1
    assert grew("taskrepo_http_request_seconds_count", claim) == 2
    assert grew("taskrepo_refusals_total", "already-claimed") == grew("taskrepo_refusals_total", "unknown-task") == 1
    assert grew("taskrepo_transitions_total", "api", "created") == grew("taskrepo_transitions_total", "api", "claimed")
    assert grew("taskrepo_write_batch_requests_count") == grew("taskrepo_write_commit_seconds_count") == 2
    assert grew("taskrepo_tasks", "claimed") == 1
    assert now["taskrepo_writer_queue_requests",] == now["taskrepo_loose_objects",] == 0
    assert now["taskrepo_index_lag_seconds",] == 0 and now["taskrepo_packs",] > 0
    assert now["process_resident_memory_bytes",] > 1 << 20 and now["process_open_fds",] > 5
    assert now["taskrepo_server", "workers"] == 64 and now["taskrepo_server", "workers_busy"] >= 1
    assert now["taskrepo_disk_free_bytes",] > 0 and ("taskrepo_webhooks", "failing") in now


def test_who_waits_is_counted(site: Site) -> None:
    """Long polls are seen in the lobby and on the server."""
    with urllib3.PoolManager() as pool:
        sent = {"Authorization": f"Bearer {site.keys['bob']}", "Accept": "text/event-stream"}
        stream = pool.request("GET", f"{site.url}/api/v1/events", headers=sent, preload_content=False)
        until(lambda: samples(site)["taskrepo_waiting_clients",] == samples(site)["taskrepo_server", "parked"] == 1)
        stream.close()


def test_labels_are_few(site: Site, tmp_path: Path) -> None:
    """Odd addresses, methods and errors, private words and ids are no labels; git's door has its own routes."""

    def asked() -> set[tuple[str, ...]]:
        return {name for name in samples(site) if name[0] == "taskrepo_http_requests_total"}

    odd = ("/no/such/place", "/api/v1/tasks/4k7q2m9x/files/secret-name", "/login/link/secret-token", "/x?secret=1")
    for path in odd:
        urllib3.request("GET", site.url + path, retries=False)
    urllib3.request("BREW", f"{site.url}/tasks", retries=False)
    site.post("bob", "/tasks", b"{", headers={"Content-Type": "application/json"})
    git(tmp_path, "clone", "-q", address(site), "clone").check()
    routes = {"other", "/git/exchange.git/git-upload-pack", "/login/link/{token}"}
    until(lambda: routes <= {name[2] for name in asked()})
    assert {name[1] for name in asked()} <= {"GET", "POST", "other"}
    assert counted(site, ("taskrepo_refusals_total", "malformed"))["taskrepo_refusals_total", "malformed"] >= 1
    text = read(site).data.decode()
    assert "secret" not in text and "4k7q2m9x" not in text and "bob" not in text and "_created" not in text


def test_two_applications_do_not_meet(site: Site) -> None:
    """Each has a registry of its own."""
    with again(site, metrics_allow=LOCAL) as other:
        other.get("bob", "/me")
        me = ("taskrepo_http_requests_total", "GET", "/api/v1/me", "2xx")
        assert counted(other, me)[me] == 1
        text = read(site).data.decode()
        assert text.count("# TYPE taskrepo_tasks gauge") == 1


def test_an_observer_that_fails_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Who asked does not notice."""

    def fail(seen: Seen) -> None:
        raise RuntimeError(seen.route)

    with again(site, observers=(fail,)) as other:
        assert other.get("bob", "/me").status == 200
        until(lambda: "an observer of requests failed" in caplog.text)


def test_other_servers_are_observed_too() -> None:
    """Without what our own server offers there is a request id and a time all the same; who is gone has no status."""
    seen: list[Seen] = []

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/fail":
            raise OSError
        start_response("204 No Content", [])
        return [b""]

    for path in ("/", "/fail"):
        try:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "192.0.2.7"}
            list(observed(app, [seen.append])(environ, lambda *_: lambda data: None))
        except OSError:
            continue
    assert [(each.status, each.route, len(each.ident)) for each in seen] == [(204, "other", 16), (0, "other", 16)]


def test_loose_objects_are_counted(tmp_path: Path) -> None:
    """As git puts them; nothing of a repository that has none."""
    assert loose_objects(tmp_path) == 0
    git(tmp_path, "init", "-q", ".").check()
    (tmp_path / "file").write_text("x")
    git(tmp_path, "hash-object", "-w", "file").check()
    assert loose_objects(tmp_path / ".git") == 1
    assert Metrics.__doc__
