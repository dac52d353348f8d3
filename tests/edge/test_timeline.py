"""The timeline of a task: what it says of each event, and that what it says of signatures is true."""

import re
import subprocess
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from taskrepo.attestation import Attestation, Signature
from taskrepo.commands import AddKey, Claim, Comment, Progress, RetireKey, Submit
from taskrepo.history import Entry, Person, add_signature, write_message, write_payload
from taskrepo.model import Manifest
from taskrepo.signing import Signer
from taskrepo.web.timeline import A_PAGE, COUNTED, seal
from tests.support.http import Site, running
from tests.support.ledgers import git, view_of
from tests.support.person import Page
from tests.support.person import Person as Visitor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here that leave its ledger sound."""
    with running(tmp_path_factory.mktemp("timeline")) as site:
        yield site


@pytest.fixture
def alice(site: Site) -> Iterator[Visitor]:
    """The publisher, at a browser."""
    person = Visitor(site.url).enter(site.exchange, "alice")
    yield person
    person.close()


def worked_on(site: Site, **manifest: object) -> str:
    """A task that was claimed through the API and submitted by the command line's way in."""
    made = Manifest(**{"title": "Count words", "description": "All.", **manifest})  # type: ignore[arg-type]
    task = site.exchange.create(made, (), "alice", via="web").task.id
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Progress(task, 1, 40, "half way"), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "Seven words"), "bob", via="cli")
    return task


def events(page: Page) -> list[str]:
    """The items of the timeline on a page, as HTML."""
    timeline = page.html.partition('<ol class="timeline"')[2].partition("</ol>")[0]
    return timeline.split("<li ")[1:]


def copied(html: str) -> list[str]:
    """The commands that the buttons of a piece of HTML copy."""
    return [unescape(text) for text in re.findall(r'data-copy="(git [^"]*)"', html)]


def test_every_event_says_who_when_how_and_what(site: Site, alice: Visitor) -> None:
    """Each event has its actor, exact and relative time, door, states, commit, and its signature, verified."""
    task = worked_on(site)
    newest, told, claimed, created = events(alice.get(f"/tasks/{task}/timeline"))
    assert "<strong>submitted</strong>" in newest and 'href="/actors/bob"' in newest
    assert "running → submitted" in newest and "via command line" in newest and "Seven words" in newest
    assert "40% half way" in told and "claimed → running" in told
    assert "published → claimed" in claimed and "via API" in claimed and "attempt 1" in claimed
    assert "nothing" not in created and "→ published" in created
    assert "via web" in created and "Count words" not in created
    happenings = list(view_of(site.exchange).chain(task))
    for html, happening in zip((newest, told, claimed, created), happenings, strict=True):
        assert f'href="/ledger/{happening.id}"' in html
        assert '<span class="seal good">attested, verified</span>' in html
        assert re.search(r"<time [^>]*>\d+ \w+ \d{4}, \d\d:\d\d UTC <span class=\"ago\">\(.* ago\)</span></time>", html)
        key = site.exchange.directory.actors["exchange"].keys[0]
        signed = f"The exchange signed this for {happening.entry.actor}, with the key “ledger” ({key.fingerprint})"
        assert signed in html


def test_the_commands_work_in_a_clone(site: Site, alice: Visitor, tmp_path: Path) -> None:
    """Each command the page offers, typed into a shell in a clone, makes stock git say that the signature is good."""
    task = worked_on(site)
    clone = tmp_path / "a clone"
    git(tmp_path, "clone", "-q", site.exchange.config.repository, clone)
    commands = copied(alice.get(f"/tasks/{task}").html)
    assert len(commands) == 4
    for command in commands:
        done = subprocess.run(["bash", "-c", command], cwd=clone, capture_output=True, check=False)
        assert (done.returncode, b'Good "git" signature' in done.stderr) == (0, True), done.stderr


def test_the_task_page_shows_the_newest_and_leads_on(site: Site, alice: Visitor) -> None:
    """Of a long history the task's page shows the newest events, and the timeline all of them, page by page."""
    task = worked_on(site)
    for number in range(COUNTED):
        site.exchange.execute(Comment(task, f"remark {number}"), "carol", via="api")
    page = alice.get(f"/tasks/{task}")
    assert (len(events(page)), f"All {COUNTED}+ events" in page.text) == (20, True)
    ids, address = [], f"/tasks/{task}/timeline"
    for _ in range(3):
        shown = alice.get(address)
        ids += [re.findall(r'href="/ledger/([0-9a-f]{40})"', html)[0] for html in events(shown)]
        older = [known["href"] for tag, known in shown.elements if known.get("rel") == "next"]
        address = older[0] if older else ""
    assert (address, len(ids) - 2 * A_PAGE) == ("", 4)
    assert ids == [happening.id for happening in view_of(site.exchange).chain(task)]
    last = alice.get(f"/tasks/{task}/timeline?before={ids[-1]}")
    assert (last.status, "There is nothing before that." in last.text) == (200, True)


def test_only_events_of_the_task_lead_on(site: Site, alice: Visitor) -> None:
    """`before` takes a commit of this task only: another's, a beginning, or no commit at all is not found."""
    task, other = worked_on(site), worked_on(site)
    elsewhere = view_of(site.exchange).last(other)
    for wrong in (elsewhere, view_of(site.exchange).last(task)[:12], "x", "0" * 40):
        assert alice.get(f"/tasks/{task}/timeline?before={wrong}").status == 404
    assert alice.get(f"/tasks/{task[:6]}/timeline").status == 200


def test_a_private_tasks_events_are_for_its_people(site: Site, alice: Visitor) -> None:
    """Its people read its events, without words; for others it has no timeline, whatever commit they name."""
    task = worked_on(site, title="Zebra", visibility="private", readers=("bob",))
    shown = alice.get(f"/tasks/{task}/timeline")
    assert (len(events(shown)), "half way" in shown.text) == (4, False)
    carol = Visitor(site.url).enter(site.exchange, "carol")
    for address in (f"/tasks/{task}/timeline", f"/tasks/{task}/timeline?before={view_of(site.exchange).last(task)}"):
        hidden, nowhere = carol.get(address), carol.get(address.replace(task, "00000000"))
        assert (hidden.status, hidden.text.replace(task, "")) == (404, nowhere.text.replace("00000000", ""))
    carol.close()


def forged(site: Site, task: str, signer: Signer, *, words: str = "") -> str:
    """A comment on the task that nobody made, put on `main` by whoever has the disk; `words` replace those signed."""
    store, last = site.exchange.store, view_of(site.exchange).last(task)
    head = site.head()
    assert head
    tree = store.read(head, "commit")[5:45].decode()
    entry = Entry("comment", task, "signed words", "commented", "carol", "api", previous=last)
    people = Person("Carol", "carol", int(time.time())), Person("Exchange", "exchange", int(time.time()))
    payload = write_payload(tree, (head,), *people, write_message(entry))
    signature = signer.sign(payload)
    raw = add_signature(payload.replace(b"signed words", words.encode()) if words else payload, signature)
    repository = site.exchange.config.repository
    made = git(repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=raw).strip()
    git(repository, "update-ref", "refs/heads/main", made)
    return made


def test_forged_events_are_shown_as_such(tmp_path: Path) -> None:
    """An event signed by a foreign key, by a retired one, or changed after signing says so in words and colour."""
    with running(tmp_path) as site:
        task, exchange = worked_on(site), site.exchange
        ours, foreign = Signer.load(exchange.config.signing_key), Signer.generate(tmp_path / "foreign")
        alice = Visitor(site.url).enter(exchange, "alice")
        made = [forged(site, task, foreign), forged(site, task, ours, words="other words")]
        fresh = Signer.generate(tmp_path / "fresh")
        exchange.govern(AddKey("exchange", "next", fresh.public_line, fresh.fingerprint), "admin", via="cli")
        exchange.govern(RetireKey("exchange", ours.fingerprint), "admin", via="cli")
        made.append(forged(site, task, ours))
        shown = {commit: html for commit in made for html in events(alice.get(f"/tasks/{task}")) if commit in html}
        for commit, short, sentence in zip(
            made, ("unknown key", "bad signature", "retired key"),
            ("is by a key that was not registered", "does not match what was signed",
             "is by a key that had been retired before"),
            strict=True,
        ):  # fmt: skip
            assert f'<span class="seal bad">{short}</span>' in shown[commit]
            assert f"The exchange's signature {sentence}" in unescape(shown[commit]), shown[commit]
        honest = [html for html in events(alice.get(f"/tasks/{task}")) if "seal good" in html]
        assert len(honest) == 4
        alice.close()


def test_self_signed_events_name_both_signers() -> None:
    """An event whose request the actor signed says so, and which of the two signatures is bad."""
    ours = Signature("exchange", "good", key="ledger", fingerprint="SHA256:o")
    bobs = Signature("bob", "good", key="laptop", fingerprint="SHA256:b")
    good = seal(Attestation(ours, bobs), "bob", True)
    assert (good.good, good.short) == (True, "signed by bob, verified")
    assert good.sentences == (
        "bob signed this itself, with the key “laptop” (SHA256:b).",
        "The exchange signed this for bob, with the key “ledger” (SHA256:o).",
    )
    bad = seal(Attestation(ours, Signature("bob", "wrong-parent")), "bob", True)
    assert (bad.good, bad.short) == (False, "wrong request")
    assert bad.sentences[0] == "bob's signature is of a request that this commit does not hold."
    own = seal(Attestation(ours), "exchange", False)
    assert own.sentences == ("The exchange signed this itself, with the key “ledger” (SHA256:o).",)
