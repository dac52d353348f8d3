"""The directory over the API: actors, their keys and the policy."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo.signing import Signer
from tests.support.http import Site, escaped, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        yield running_site


def added(site: Site, actor: str, **more: Any) -> str:
    """The key of a new actor."""
    answer = site.post("admin", "/actors", {"id": actor, "type": "agent", **more})
    assert answer.status == 201, answer.body
    return str(answer.json["key"])


def test_me_tells_who_asks_and_what_they_hold(site: Site) -> None:
    """The caller's record, key, work in hand and figures, which count reviews and time to submit."""
    first, second, held = (site.task(priority=priority) for priority in (1, 2, 3))
    for task in (first, second):
        site.post("bob", f"/tasks/{task}/claim")
        site.post("bob", f"/tasks/{task}/submit", {"execution": 1, "summary": "x"})
    site.post("alice", f"/tasks/{first}/approve")
    site.post("alice", f"/tasks/{second}/reject", {"reason": "No."})
    site.post("bob", f"/tasks/{held}/claim")
    me = site.get("bob", "/me").json
    assert (me["actor"]["id"], me["key"]["name"]) == ("bob", "test")
    assert [task["id"] for task in me["workload"]["held"]] == [second, held]
    assert me["workload"]["counts"] == {"claimed": 1, "running": 0, "submitted": 0, "rejected": 1, "to_review": 0}
    figures = me["figures"]
    assert (figures["tasks"], figures["approved"], figures["rejected"], figures["approval_rate"]) == (3, 1, 1, 0.5)
    assert 0 <= figures["median_seconds"] <= 5


def test_a_profile_shows_recent_tasks(site: Site) -> None:
    """An actor's profile lists the latest tasks they published, did or review, newest first."""
    added(site, "profiled", name="Profiled  Agent", capabilities={"reasoning_tier": "high"})
    published, reviewed = site.task(), site.task("carol", review="profiled")
    answer = site.get("bob", "/actors/profiled")
    assert (answer.json["actor"]["name"], answer.json["actor"]["capabilities"]["reasoning_tier"]) == (
        "Profiled Agent", "high",
    )  # fmt: skip
    assert [task["id"] for task in answer.json["recent"]] == [reviewed]
    assert site.get("bob", "/actors/alice").json["recent"][0]["id"] == published


def test_a_new_actor_can_work_at_once(site: Site) -> None:
    """Adding an actor answers with their record and a key that works."""
    answer = site.post("admin", "/actors", {"id": "worker-1", "type": "service", "name": "Worker"})
    assert answer.headers["Location"] == "/api/v1/actors/worker-1"
    assert (answer.json["actor"]["type"], answer.json["commit"]) == ("service", site.head())
    assert site.get("", "/me", key=answer.json["key"]).json["actor"]["id"] == "worker-1"


def test_the_directory_comes_in_pages(site: Site) -> None:
    """Actors are listed by id; `next` continues."""
    whole = [actor["id"] for actor in site.get("bob", "/actors").json["actors"]]
    assert whole == sorted(whole)
    assert {"admin", "alice", "bob", "carol", "exchange"} <= set(whole)
    first = site.get("bob", "/actors?limit=2").json
    rest = site.get("bob", f"/actors?limit=500&cursor={first['next']}").json
    assert ([a["id"] for a in first["actors"] + rest["actors"]], rest["next"]) == (whole, None)


def test_refusals(site: Site) -> None:
    """What the rules or the schemas refuse leaves the ledger and the keys as they were."""
    added(site, "taken")
    cases: list[tuple[str, str, str, Any, int, str]] = [
        ("bob", "POST", "/actors", {"id": "new", "type": "agent"}, 403, "not-admin"),
        ("admin", "POST", "/actors", {"id": "taken", "type": "agent"}, 409, "duplicate-id"),
        ("admin", "POST", "/actors", {"id": "exchange", "type": "agent"}, 400, "reserved-id"),
        ("admin", "POST", "/actors", {"id": "Big", "type": "agent"}, 400, "invalid-field"),
        ("admin", "POST", "/actors", {"id": "../x", "type": "agent"}, 400, "invalid-field"),
        ("admin", "POST", "/actors", {"id": "new", "type": "robot"}, 400, "invalid-field"),
        ("admin", "POST", "/actors", {"id": "new"}, 400, "invalid-field"),
        ("admin", "POST", "/actors", {"id": "n", "type": "agent", "capabilities": {"os": "x"}}, 400, "invalid-field"),
        ("admin", "POST", "/actors", [], 400, "invalid-field"),
        ("admin", "POST", "/actors", None, 400, "invalid-field"),
        ("bob", "PATCH", "/actors/bob", {"name": "Bobby"}, 403, "not-admin"),
        ("admin", "PATCH", "/actors/nobody", {"name": "x"}, 404, "unknown-actor"),
        ("admin", "PATCH", "/actors/bob", {}, 400, "invalid-field"),
        ("admin", "PATCH", "/actors/bob", {"type": "human"}, 400, "invalid-field"),
        ("admin", "PATCH", "/actors/bob", {"active": "no"}, 400, "invalid-field"),
        ("admin", "PATCH", "/actors/bob", {"active": True}, 409, "nothing-to-change"),
        ("admin", "PATCH", "/actors/admin", {"active": False}, 409, "last-admin"),
        ("admin", "PATCH", "/actors/exchange", {"name": "x"}, 409, "wrong-state"),
        ("bob", "GET", "/actors/nobody", None, 404, "unknown-actor"),
        ("bob", "GET", "/actors/%00", None, 404, "unknown-actor"),
        ("bob", "GET", "/actors?limit=501", None, 400, "bad-query"),
        ("bob", "GET", "/actors/alice/api-keys", None, 403, "not-admin"),
        ("admin", "GET", "/actors/nobody/api-keys", None, 404, "unknown-actor"),
        ("bob", "POST", "/actors/alice/api-keys", {"name": "x"}, 403, "not-admin"),
        ("bob", "POST", "/actors/bob/api-keys", {}, 400, "invalid-field"),
        ("bob", "POST", "/actors/bob/api-keys", {"name": 1}, 400, "invalid-field"),
        ("bob", "POST", "/actors/bob/api-keys", {"name": "x", "actor": "admin"}, 400, "invalid-field"),
        ("bob", "POST", "/actors/bob/api-keys", {"name": ""}, 400, "bad-name"),
        ("bob", "DELETE", "/actors/bob/api-keys/00000000", None, 404, "unknown-key"),
        ("bob", "POST", "/actors/bob/keys", {"name": "x", "key": "ssh-rsa AAAA"}, 400, None),
        ("bob", "POST", "/actors/bob/keys", {"name": "x"}, 400, "invalid-field"),
        ("bob", "DELETE", "/actors/bob/keys/SHA256:none", None, 404, "unknown-key"),
        ("bob", "PATCH", "/policy", {"max_files": 1}, 403, "not-admin"),
        ("admin", "PATCH", "/policy", {}, 400, "invalid-field"),
        ("admin", "PATCH", "/policy", {"max_files": 0}, 400, "invalid-field"),
        ("admin", "PATCH", "/policy", {"colour": 1}, 400, "invalid-field"),
        ("admin", "PATCH", "/policy", {"lease_seconds": 31536000}, 400, "invalid-field"),
        ("admin", "PATCH", "/policy", {"max_files": 5000}, 409, "nothing-to-change"),
    ]  # type: ignore[list-item]
    before = site.head(), site.exchange.accounts.keys()
    for actor, method, path, body, status, code in cases:
        answer = site.call(actor, method, path, body)
        assert (method, path, body, answer.status, code and answer.code) == (method, path, body, status, code)
    assert (site.head(), len(site.exchange.accounts.keys())) == (before[0], len(before[1]))


def test_an_idempotency_key_the_ledger_cannot_hold(site: Site) -> None:
    """Also in the directory a malformed key changes nothing; a repeated addition finds the id taken."""
    before, keyed = site.head(), {"Idempotency-Key": "a b"}
    body = {"id": "keyed", "type": "agent"}
    assert site.post("admin", "/actors", body, headers=keyed).code == "bad-request-id"
    assert site.head() == before
    keyed = {"Idempotency-Key": "add-1"}
    statuses = [site.post("admin", "/actors", body, headers=keyed).status for _ in range(2)]
    assert statuses == [201, 409]


def test_a_key_of_another_cannot_be_revoked_as_ones_own(site: Site) -> None:
    """The address must name the key's own actor."""
    (key,) = site.get("carol", "/actors/carol/api-keys").json["api_keys"]
    assert site.call("bob", "DELETE", f"/actors/bob/api-keys/{key['id']}").status == 404
    assert site.call("bob", "DELETE", f"/actors/carol/api-keys/{key['id']}").status == 403
    assert site.get("carol", "/me").status == 200


def test_api_keys_come_and_go(site: Site) -> None:
    """A new key works until it is revoked; its secret is in one answer only."""
    made = site.post("bob", "/actors/bob/api-keys", {"name": "laptop"})
    secret, key = made.json["key"], made.json["api_key"]
    assert (made.status, key["name"], key["revoked_at"]) == (201, "laptop", None)
    assert site.get("", "/me", key=secret).status == 200
    listed = site.get("admin", "/actors/bob/api-keys")
    assert secret.encode() not in listed.body
    assert key["id"] in {known["id"] for known in listed.json["api_keys"]}
    assert site.call("bob", "DELETE", f"/actors/bob/api-keys/{key['id']}").status == 200
    assert site.get("", "/me", key=secret).status == 401


def test_there_is_a_limit_to_keys(site: Site) -> None:
    """An actor who has as many keys as one may have gets no more."""
    added(site, "collector")
    for number in range(99):
        site.exchange.accounts.add_key("collector", f"k{number}", int(time.time()))
    answer = site.post("admin", "/actors/collector/api-keys", {"name": "one too many"})
    assert answer.status in (409, 429)


def test_a_deactivated_actor_is_out_at_once(site: Site) -> None:
    """Deactivation ends every key; activation brings none of them back; no key is made for the suspended."""
    key = added(site, "leaver")
    answer = site.call("admin", "PATCH", "/actors/leaver", {"active": False})
    assert (answer.status, answer.json["actor"]["active"]) == (200, False)
    assert site.get("", "/me", key=key).status == 401
    refused = site.post("admin", "/actors/leaver/api-keys", {"name": "x"})
    assert (refused.status, refused.code) == (403, "actor-suspended")
    _, left_over = site.exchange.accounts.add_key("leaver", "left over", int(time.time()))
    assert site.get("", "/me", key=left_over).code == "actor-suspended"
    site.call("admin", "PATCH", "/actors/leaver", {"active": True})
    assert site.get("", "/me", key=key).status == 401


def test_the_exchange_has_no_credentials(site: Site) -> None:
    """Nobody, not even an admin, makes a key with which a caller would be the exchange itself."""
    answer = site.post("admin", "/actors/exchange/api-keys", {"name": "x"})
    assert (answer.status, answer.code) == (403, "exchange-only")
    assert site.exchange.accounts.keys("exchange") == []


def test_public_keys(site: Site, tmp_path: Path) -> None:
    """An actor registers an SSH key and retires it by its fingerprint; a key has one owner."""
    signer = Signer.generate(tmp_path / "key")
    body = {"name": "laptop", "key": f"{signer.public_line} bob@laptop"}
    made = site.post("bob", "/actors/bob/keys", body)
    (key,) = made.json["actor"]["public_keys"]
    assert (made.status, key["fingerprint"], key["retired_at"]) == (201, signer.fingerprint, None)
    assert site.post("carol", "/actors/carol/keys", body).code == "duplicate-key"
    assert site.call("carol", "DELETE", f"/actors/bob/keys/{escaped(signer.fingerprint)}").code == "not-admin"
    retired = site.call("bob", "DELETE", f"/actors/bob/keys/{escaped(signer.fingerprint)}")
    assert (retired.status, retired.json["actor"]["public_keys"][0]["retired_at"] is None) == (200, False)


def test_the_policy_is_changed_in_part(site: Site) -> None:
    """What the body names changes, the rest stays."""
    before = site.get("bob", "/policy").json["policy"]
    answer = site.call("admin", "PATCH", "/policy", {"lease_seconds": 1800})
    assert (answer.status, answer.json["commit"]) == (200, site.head())
    after = site.get("bob", "/policy").json["policy"]
    assert after == answer.json["policy"]
    assert {k for k in after if after[k] != before.get(k)} == {"lease_seconds", "updated"}
