"""Signing keys through every door: registered, named, retired and revoked, and what readers are told of them since."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3

from taskrepo.commands import AddKey, Claim, RevokeKey
from taskrepo.history import Entry, Person, add_signature, write_message, write_payload
from taskrepo.ledger import Snapshot
from taskrepo.model import PublicKey, iso
from taskrepo.signing import Signer
from tests.support.http import Site, escaped, running
from tests.support.ledgers import git, view_of
from tests.support.person import Page
from tests.support.person import Person as Visitor
from tests.support.shell import Shell

_SEEDS: Final = count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each uses keys of its own."""
    with running(tmp_path_factory.mktemp("keys")) as site:
        yield site


def fresh() -> Signer:
    """A key that no test has used."""
    return Signer.of(next(_SEEDS).to_bytes(32, "big"))


def registered(site: Site, actor: str, name: str = "laptop") -> Signer:
    """A key of the actor's."""
    signer = fresh()
    site.exchange.govern(AddKey(actor, name, signer.public_line, signer.fingerprint), actor, via="api")
    return signer


def key_of(site: Site, actor: str, signer: Signer) -> PublicKey:
    """The key as the newest record has it."""
    return next(key for key in site.exchange.directory.actors[actor].keys if key.fingerprint == signer.fingerprint)


def address(actor: str, signer: Signer, more: str = "") -> str:
    """Where the API has a key."""
    return f"/actors/{actor}/keys/{escaped(signer.fingerprint)}{more}"


def test_an_address_has_the_methods_that_are_described(site: Site) -> None:
    """There may be slashes in a fingerprint, yet revoking is an address of its own."""
    signer = registered(site, "bob")
    key = {"Authorization": f"Bearer {site.keys['bob']}"}
    for method in ("PATCH", "DELETE", "GET"):
        refused = urllib3.request(method, f"{site.url}/api/v1{address('bob', signer, '/revoke')}", headers=key)
        assert (refused.status, refused.headers["Allow"]) == (405, "OPTIONS, POST"), method
    there = urllib3.request("OPTIONS", f"{site.url}/api/v1{address('bob', signer)}", headers=key)
    assert there.headers["Allow"] == "DELETE, OPTIONS, PATCH"
    slashed = next(made for made in (registered(site, "carol") for _ in range(500)) if "/" in made.fingerprint[8:])
    assert site.call("carol", "DELETE", address("carol", slashed), b"").status == 200


# ── over the API ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_life_of_a_key_over_the_api(site: Site) -> None:
    """An actor registers a key, renames, retires and revokes it; each step is a commit, and everybody sees the list."""
    signer = fresh()
    body = {"name": "laptop", "key": f"{signer.public_line} bob@laptop"}
    made = site.post("bob", "/actors/bob/keys", body)
    assert (made.status, made.json["commit"]) == (201, site.head())
    renamed = site.call("bob", "PATCH", address("bob", signer), {"name": "old  laptop"})
    assert (renamed.status, renamed.json["commit"]) == (200, site.head())
    retired = site.call("bob", "DELETE", address("bob", signer))
    revoked = site.post("bob", address("bob", signer, "/revoke"), {"since": iso(key_of(site, "bob", signer).added_at)})
    assert (retired.status, revoked.status) == (200, 200)
    known = key_of(site, "bob", signer)
    listed = site.get("carol", "/actors/bob/keys").json["public_keys"]
    assert listed[-1] == revoked.json["actor"]["public_keys"][-1] == {
        "name": "old laptop", "line": signer.public_line, "fingerprint": signer.fingerprint,
        "added_at": iso(known.added_at), "retired_at": iso(known.retired_at or 0),
        "compromised_at": iso(known.added_at),
    }  # fmt: skip
    subjects = [event.entry.command for event in view_of(site.exchange).latest(4)]
    assert subjects == ["add-key", "rename-key", "retire-key", "revoke-key"]


def test_what_is_no_change_of_a_key_is_refused(site: Site) -> None:
    """Others' keys, unknown ones, bad names and impossible moments are refused, and leave the ledger as it was."""
    mine, spent = registered(site, "bob"), registered(site, "bob", "spent")
    site.exchange.govern(RevokeKey("bob", spent.fingerprint, key_of(site, "bob", spent).added_at), "bob", via="api")
    soon = iso(int(time.time()) + 3600)
    hidden = site.task("alice", visibility="private")
    secret = view_of(site.exchange).last(hidden)
    cases: list[tuple[str, str, str, Any, int, str]] = [
        ("carol", "PATCH", address("bob", mine), {"name": "x"}, 403, "not-admin"),
        ("carol", "DELETE", address("bob", mine), None, 403, "not-admin"),
        ("carol", "POST", address("bob", mine, "/revoke"), {}, 403, "not-admin"),
        ("bob", "PATCH", address("carol", mine), {"name": "x"}, 403, "not-admin"),
        ("carol", "PATCH", address("carol", mine), {"name": "x"}, 404, "unknown-key"),
        ("carol", "POST", address("carol", mine, "/revoke"), {}, 404, "unknown-key"),
        ("bob", "POST", "/actors/zoe/keys/x/revoke", {}, 404, "unknown-actor"),
        ("bob", "GET", "/actors/zoe/keys", None, 404, "unknown-actor"),
        ("bob", "PATCH", address("bob", mine), {"name": ""}, 400, "invalid-field"),
        ("bob", "PATCH", address("bob", mine), {"name": "x" * 61}, 400, "invalid-field"),
        ("bob", "PATCH", address("bob", mine), {"name": "x", "line": "y"}, 400, "invalid-field"),
        ("bob", "PATCH", address("bob", mine), {"name": "laptop"}, 409, "nothing-to-change"),
        ("bob", "DELETE", address("bob", spent), None, 404, "unknown-key"),
        ("bob", "POST", address("bob", spent, "/revoke"), {}, 409, "nothing-to-change"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": soon}, 400, "invalid-field"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": "2020-01-01"}, 400, "invalid-field"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": "2026-13-45"}, 400, "invalid-field"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": "yesterday"}, 400, "invalid-field"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": 5}, 400, "invalid-field"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"at": "2026-11-03"}, 400, "invalid-field"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": "0" * 40}, 404, "unknown-commit"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": "0" * 7}, 404, "unknown-commit"),
        ("bob", "POST", address("bob", mine, "/revoke"), {"since": secret}, 404, "unknown-commit"),
    ]
    before = site.head()
    for actor, method, path, body, status, code in cases:
        answer = site.call(actor, method, path, body)
        assert (method, path, body, answer.status, answer.code) == (method, path, body, status, code)
    assert site.head() == before


def test_admins_change_the_keys_of_others(site: Site) -> None:
    """An admin registers, renames, retires and revokes for somebody else, whose record changes."""
    signer = fresh()
    assert site.post("admin", "/actors/carol/keys", {"name": "desk", "key": signer.public_line}).status == 201
    assert site.call("admin", "PATCH", address("carol", signer), {"name": "old desk"}).status == 200
    assert site.post("admin", address("carol", signer, "/revoke"), {}).status == 200
    known = key_of(site, "carol", signer)
    assert (known.name, known.compromised_at) == ("old desk", known.added_at)


@pytest.mark.parametrize("what", ["live", "retired", "revoked", "exchange"])
def test_a_key_has_one_owner_for_ever(site: Site, what: str) -> None:
    """What was registered once, also the exchange's own key, is refused to everybody, whatever became of it."""
    if what == "exchange":
        line = site.exchange.directory.actors["exchange"].keys[0].line
    else:
        signer = registered(site, "bob", what)
        line = signer.public_line
        if what == "retired":
            site.call("bob", "DELETE", address("bob", signer))
        if what == "revoked":
            site.post("bob", address("bob", signer, "/revoke"), {})
    before = site.head()
    for caller, actor in (("bob", "bob"), ("carol", "carol"), ("admin", "admin"), ("admin", "exchange")):
        answer = site.post(caller, f"/actors/{actor}/keys", {"name": "mine", "key": f"{line} a comment"})
        assert (answer.status, answer.code) == (409, "duplicate-key")
    assert site.head() == before


def test_the_moment_may_be_a_day_a_time_or_a_commit(site: Site) -> None:
    """A day means its beginning, or when the key was added that day; a commit means its own time."""
    signers = [registered(site, "bob", f"key {number}") for number in range(5)]
    commit = site.exchange.execute(Claim(site.task()), "bob", via="api").commit
    at = site.exchange.ledger.happening(commit).commit.committer.at
    added = key_of(site, "bob", signers[0]).added_at
    local = datetime.fromtimestamp(at + 7200, UTC).strftime("%Y-%m-%dT%H:%M:%S+02:00")
    spoken = (iso(added)[:10], iso(at).replace("T", " ").rstrip("Z"), local, commit, commit[:9])
    for signer, since in zip(signers, spoken, strict=True):
        answer = site.post("bob", address("bob", signer, "/revoke"), {"since": since})
        assert answer.status == 200, answer.body
    moments = [key_of(site, "bob", signer).compromised_at for signer in signers]
    assert moments == [added, at, at, at, at]


# ── on the pages ────────────────────────────────────────────────────────────────────────────────────────────────────


def forms_of(page: Page, action: str, signer: Signer) -> dict[str, str]:
    """The fields of the form that asks this of a key, as the page has them."""
    found = [form.fields for form in page.forms if form.action == action]
    return next(fields for fields in found if fields["fingerprint"] == signer.fingerprint)


def test_ones_own_keys_on_the_page(site: Site, sign_in: Callable[[str], Visitor]) -> None:
    """One's page renames, retires and revokes a key without scripts, and says of each what became of it."""
    alice, first, second = sign_in("alice"), registered(site, "alice", "first"), registered(site, "alice", "second")
    page = alice.get("/me")
    fields = forms_of(page, "/me/ssh/rename", first)
    assert fields["name"] == "first"
    page = alice.ask("POST", "/me/ssh/rename", fields={**fields, "name": "main"})
    assert "has its new name" in page.text and key_of(site, "alice", first).name == "main"
    page = alice.ask("POST", "/me/ssh/retire", fields=forms_of(page, "/me/ssh/retire", second))
    assert "is retired" in page.text and "1 ended" in page.text and "retired a moment ago" in page.text
    page = alice.ask("POST", "/me/ssh/revoke", fields=forms_of(page, "/me/ssh/revoke", second))
    assert "is revoked" in page.text and "not to be trusted from" in page.text
    assert key_of(site, "alice", second).compromised_at == key_of(site, "alice", second).added_at
    own = alice.get("/actors/alice").html
    assert 'href="/me#ssh"' in own and "/admin/keys" not in own


def test_a_refused_revocation_is_shown_beside_its_key(site: Site, sign_in: Callable[[str], Visitor]) -> None:
    """What was typed stays in the form of that key, which is open and says what is wrong; no other form has it."""
    carol, mine = sign_in("carol"), registered(site, "carol", "mine")
    registered(site, "carol", "other")
    for since, status, said in (
        ("tomorrow", 400, "is no day like"), ("abcdef0", 404, "the ledger has no commit"),
        ("2020-01-01", 400, "is before the key was added"), ("2999-01-01", 400, "has not come yet"),
    ):  # fmt: skip
        page = carol.get("/me")
        page = carol.ask("POST", "/me/ssh/revoke", fields={**forms_of(page, "/me/ssh/revoke", mine), "since": since})
        assert page.status == status
        typed = [form.fields.get("since") for form in page.forms if form.action == "/me/ssh/revoke"]
        assert sorted(filter(None, typed)) == [since]
        (number,) = re.findall(r'id="key-carol-(\d+)" open>', page.html)
        assert re.search(rf'id="revoke-carol-{number}-since-error">[^<]*{said}', page.html)
        assert page.html.count('class="error"') == 1


def test_a_forged_fingerprint_reaches_no_key_of_others(site: Site, sign_in: Callable[[str], Visitor]) -> None:
    """The forms of one's own page change one's own keys only, whatever they say."""
    carol, theirs = sign_in("carol"), registered(site, "bob")
    token, before = carol.get("/me").form("/logout").fields["csrf"], site.head()
    for action in ("rename", "retire", "revoke"):
        fields = {"csrf": token, "fingerprint": theirs.fingerprint, "name": "x", "actor": "bob"}
        assert carol.ask("POST", f"/me/ssh/{action}", fields=fields).status == 404
        assert carol.ask("POST", f"/admin/ssh/{action}", fields=fields).status == 403
    assert site.head() == before


def test_everybodys_keys_on_the_admins_page(site: Site, sign_in: Callable[[str], Visitor]) -> None:
    """An admin registers a key for somebody, renames, retires and revokes it; those that ended show by their actor."""
    admin, signer = sign_in("admin"), fresh()
    page = admin.get("/admin/keys")
    wrong = admin.submit(page, "/admin/ssh/add", {"actor": "zoe", "name": "n", "key": signer.public_line})
    assert (wrong.status, wrong.form("/admin/ssh/add").fields["actor"]) == (404, "zoe")
    assert 'id="ssh-actor-error"' in wrong.html
    page = admin.submit(page, "/admin/ssh/add", {"actor": "bob", "name": "box", "key": signer.public_line})
    assert page.url == "/admin/keys?actor=bob" and "is registered" in page.text
    page = admin.ask("POST", "/admin/ssh/rename", fields={**forms_of(page, "/admin/ssh/rename", signer), "name": "b2"})
    assert key_of(site, "bob", signer).name == "b2"
    page = admin.ask("POST", "/admin/ssh/retire", fields=forms_of(page, "/admin/ssh/retire", signer))
    assert signer.fingerprint in page.text and signer.fingerprint not in admin.get("/admin/keys").text
    bad = admin.ask("POST", "/admin/ssh/revoke", fields={**forms_of(page, "/admin/ssh/revoke", signer), "since": "x"})
    assert (bad.status, bad.html.count('class="error"')) == (400, 1)
    page = admin.ask("POST", "/admin/ssh/revoke", fields=forms_of(bad, "/admin/ssh/revoke", signer) | {"since": ""})
    assert "not to be trusted from" in page.text
    assert 'href="/admin/keys?actor=bob#signing"' in admin.get("/actors/bob").html


def test_the_admins_page_of_keys_has_a_bound(site: Site, sign_in: Callable[[str], Visitor]) -> None:
    """A hundred keys are a page; the rest follow at an address of their own, none twice and none left out."""
    for number in range(45):
        for actor in ("alice", "bob", "carol"):
            if len(site.exchange.directory.actors[actor].keys) < 60:
                registered(site, actor, f"{actor} {number}")
    admin, seen, path = sign_in("admin"), [], "/admin/keys"
    while path:
        page = admin.get(path)
        shown = [form.fields["fingerprint"] for form in page.forms if form.action == "/admin/ssh/rename"]
        assert len(shown) <= 100
        seen += shown
        later = [known["href"] for tag, known in page.elements if "?signing=" in known.get("href", "")]
        path = later[0] if later else ""
    actors = site.exchange.directory.actors.values()
    assert sorted(seen) == sorted(k.fingerprint for a in actors for k in a.keys if k.retired_at is None)


# ── what readers are told ───────────────────────────────────────────────────────────────────────────────────────────


def pushed(site: Site, task: str, actor: str, signer: Signer, at: int) -> str:
    """A comment whose request the actor signed with a key of its own, put on `main` as the notary would."""
    store, ours, head = site.exchange.store, Signer.load(site.exchange.config.signing_key), site.head()
    assert head
    root = Snapshot(site.exchange.ledger, store, head, store.read(head, "commit")[5:45].decode()).root
    asked = write_payload(root, (head,), *(Person(actor.title(), actor, 9),) * 2, f"comment {task}: hello\n".encode())
    repository = site.exchange.config.repository
    written = ("hash-object", "-t", "commit", "-w", "--stdin")
    request = git(repository, *written, stdin=add_signature(asked, signer.sign(asked))).strip()
    last = view_of(site.exchange).last(task)
    entry = Entry("comment", task, "hello", "commented", actor, "git", previous=last, request=request)
    people = Person(actor.title(), actor, at), Person("Exchange", "exchange", at)
    payload = write_payload(root, (head, request), *people, write_message(entry))
    made = git(repository, *written, stdin=add_signature(payload, ours.sign(payload))).strip()
    git(repository, "update-ref", "refs/heads/main", made)
    return made


def test_readers_are_told_of_a_key_that_was_revoked_since(tmp_path: Path) -> None:
    """Timeline and ledger mark what a key signed from its moment on, by its place and not by the time a request claims,
    leave alone what was before, and count nothing that comes after the revocation."""
    with running(tmp_path) as site:
        signer, task = registered(site, "bob"), site.task()
        since = int(time.time()) + 2
        before, after = pushed(site, task, "bob", signer, since - 1), pushed(site, task, "bob", signer, since)
        alice = Visitor(site.url).enter(site.exchange, "alice")
        for commit in (before, after):
            assert "signed by bob, verified" in alice.get(f"/ledger/{commit}").text
        site.exchange.govern(RevokeKey("bob", signer.fingerprint, since), "bob", via="api")
        old, new = (alice.get(f"/ledger/{commit}") for commit in (before, after))
        assert '<span class="seal good">signed by bob, verified</span>' in old.html
        assert '<span class="seal warn">signed by bob, key revoked since</span>' in new.html
        assert "somebody else may have signed with it" in new.text and "somebody else" not in old.text
        told = alice.get(f"/tasks/{task}/timeline").html
        assert (told.count("seal warn"), told.count("seal bad")) == (1, 0)
        late = alice.get(f"/ledger/{pushed(site, task, 'bob', signer, int(time.time()) + 3)}")
        assert '<span class="seal bad">retired key</span>' in late.html
        alice.close()


# ── on the command line ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["server", "folder"])
def shell(request: pytest.FixtureRequest, site: Site) -> Callable[[str], Shell]:
    """Somebody's shell: at a server with their key, or at the data folder itself."""
    def made(actor: str) -> Shell:
        if request.param == "server":
            return Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys[actor]})
        return _Local({"TASKREPO_DATA": str(site.exchange.config.data)}, actor)

    return made


class _Local(Shell):
    """A shell whose commands are given as an actor."""

    def __init__(self, variables: dict[str, str], actor: str) -> None:
        super().__init__(variables)
        object.__setattr__(self, "actor", actor)

    def __call__(self, *words: str, stdin: bytes = b"") -> Any:
        """Run a command within this process."""
        return super().__call__(*words, "--as", self.actor, stdin=stdin)  # type: ignore[attr-defined]


def test_ones_own_keys_on_the_command_line(site: Site, shell: Callable[[str], Shell], tmp_path: Path) -> None:
    """A key is registered from its file and named by its comment; it is renamed, retired and revoked by its name."""
    bob, signer = shell("bob"), fresh()
    path, name = tmp_path / "id_ed25519.pub", f"bob@{signer.fingerprint[-5:]}"
    path.write_text(f"{signer.public_line} {name}\n")
    assert f"The key {name} of bob, {signer.fingerprint}, is registered" in bob("ssh-key", "add", str(path)).out
    assert bob.problem("ssh-key", "add", str(path)) == (1, "duplicate-key")
    assert bob("ssh-key", "rename", signer.fingerprint[:14], f"old {name}").code == 0
    assert f"old {name}" in bob("ssh-key", "list").out
    assert "what it signed stays good" in bob("ssh-key", "retire", f"old {name}").out
    assert bob.problem("ssh-key", "retire", signer.fingerprint) == (1, "unknown-key")
    revoked = bob.json("ssh-key", "revoke", f"old {name}", "--since", iso(key_of(site, "bob", signer).added_at))
    assert revoked["commit"] == site.head()
    listed = bob("ssh-key", "list", "bob").out
    assert "revoked: not to be trusted from" in listed
    assert listed == shell("carol")("ssh-key", "list", "bob").out


def test_what_is_refused_on_the_command_line(site: Site, shell: Callable[[str], Shell], tmp_path: Path) -> None:
    """Unknown and doubtful names, keys of others, private keys and bad moments are refused with the usual codes."""
    carol, private = shell("carol"), Signer.generate(tmp_path / "id")
    for _ in range(2):
        registered(site, "carol", "twin")
    before = site.head()
    assert carol.problem("ssh-key", "retire", "nothing") == (1, "unknown-key")
    assert carol.problem("ssh-key", "retire", "SHA256:") == (1, "unknown-key")
    assert carol.problem("ssh-key", "retire", "twin") == (1, "ambiguous-id")
    assert carol.problem("ssh-key", "add", str(tmp_path / "id")) == (2, "bad-public-key")
    assert carol.problem("ssh-key", "add", str(tmp_path / "none.pub")) == (2, "unreadable-file")
    assert carol.problem("ssh-key", "list", "zoe") == (1, "unknown-actor")
    mine, bobs = registered(site, "carol", f"mine {before}"), registered(site, "bob", f"bobs {before}")
    before = site.head()
    assert carol.problem("ssh-key", "revoke", mine.fingerprint, "--since", "never") == (2, "invalid-field")
    assert carol.problem("ssh-key", "retire", bobs.fingerprint, "--of", "bob") == (1, "not-admin")
    said = carol("ssh-key", "add", "-", "--of", "bob", stdin=private.public_line.encode())
    assert (said.code, "not-admin" in said.err, site.head()) == (1, True, before)


def test_admins_change_keys_of_others_on_the_command_line(site: Site, shell: Callable[[str], Shell]) -> None:
    """`--of` names whose key it is; a key may come from standard input."""
    admin, signer = shell("admin"), fresh()
    name = f"from admin {signer.fingerprint[-5:]}"
    line = signer.public_line.encode()
    assert admin("ssh-key", "add", "-", "--of", "carol", "--name", name, stdin=line).code == 0
    assert admin("ssh-key", "revoke", name, "--of", "carol").code == 0
    known = key_of(site, "carol", signer)
    assert (known.name, known.compromised_at) == (name, known.added_at)
    assert signer.fingerprint in Shell({"TASKREPO_DATA": str(site.exchange.config.data)})("key", "list", "carol").out


def test_help_says_how_a_key_is_made() -> None:
    """The help of each command says what it means, and that of `add` how to make a key."""
    assert "ssh-keygen -t ed25519" in Shell()("ssh-key", "add", "--help").out
    assert "cannot be taken back" in Shell()("ssh-key", "revoke", "--help").out
    assert "Sign with your own key:" in Shell()("--help").out
