"""The commands about tasks, through a server and on the data folder: the same words, answers and exit codes."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo.errors import Refused
from taskrepo.offline import open_desk
from tests.support.http import Site, running
from tests.support.shell import Said, Shell, package
from tests.support.waiting import PATIENCE

As = Callable[[str], Shell]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange with admin, alice (human), bob (agent) and carol (human)."""
    with running(tmp_path) as running_site:
        yield running_site


def at_server(site: Site) -> As:
    """Shells that talk to the server, by actor."""
    return lambda actor: Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys.get(actor, actor)})


@pytest.fixture(params=["server", "offline"])
def desk(request: pytest.FixtureRequest, site: Site) -> As:
    """A shell for an actor, at the server or on the folder."""
    if request.param == "server":
        return at_server(site)
    data = str(site.exchange.config.data)
    return lambda actor: Shell({"TASKREPO_DATA": data, "SHELL_AS": actor})


class Person:
    """A shell that says who it is, whichever desk it is at."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        actor = shell.variables.get("SHELL_AS")
        self._words = ["--as", actor] if actor else []

    def __call__(self, *words: str, stdin: bytes = b"") -> Said:
        return self.shell(*words, *self._words, stdin=stdin)

    def json(self, *words: str, stdin: bytes = b"") -> dict[str, Any]:
        return self.shell.json(*words, *self._words, stdin=stdin)  # type: ignore[no-any-return]

    def problem(self, *words: str) -> tuple[int, str]:
        return self.shell.problem(*words, *self._words)

    def out(self, *words: str) -> str:
        said = self.shell(*words, *self._words)
        assert said.code == 0, said
        return said.out


@pytest.fixture
def alice(desk: As) -> Person:
    """The publisher."""
    return Person(desk("alice"))


@pytest.fixture
def bob(desk: As) -> Person:
    """The executor."""
    return Person(desk("bob"))


def published(alice: Person, folder: Path, **files: str) -> str:
    """The id of a new task."""
    made = alice.json("new", str(package(folder / "package", **files)))
    return str(made["task"]["id"])


def test_a_task_goes_all_the_way(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Draft, publish, claim, progress, ask, answer, submit, reject, rework, submit, approve, archive."""
    source = package(tmp_path / "p", input__a_csv="n\n1\n", README_md="Hello")
    task = str(alice.json("new", str(source), "--draft")["task"]["id"])
    short = task[:5].upper()
    assert alice.json("publish", short)["task"]["state"] == "published"
    assert bob.json("claim", short)["task"]["execution"] == 1
    assert bob.json("start", short)["task"]["state"] == "running"
    told = bob.json("progress", short, "40", "-m", "half way", "--file", str(source / "README.md"))
    assert told["task"]["executions"][0]["percent"] == 40 and told["task"]["discussion"] == 1
    assert bob.json("ask", short, "Which currency?")["task"]["waiting"]
    assert not alice.json("answer", short, "-m", "Euros.")["task"]["waiting"]
    result = tmp_path / "r.json"
    result.write_text('{"rows": 1}')
    words = ["--summary", "-", "--result", str(result), "--artifact", str(result), "--log", str(source / "README.md")]
    assert bob.json("submit", short, *words, stdin=b"Done.\n")["task"]["submissions"][0]["file_count"] == 3
    assert alice.json("reject", short, "-m", "row 3 is missing")["task"]["state"] == "rejected"
    assert bob.json("rework", short)["task"]["state"] == "running"
    delivery = tmp_path / "submission"
    (delivery / "artifacts").mkdir(parents=True)
    (delivery / "summary.md").write_text("Again.\n")
    (delivery / "artifacts" / "b.txt").write_text("b")
    assert bob.json("submit", short, str(delivery))["task"]["state"] == "submitted"
    assert alice.json("approve", short, "-m", "clean")["task"]["state"] == "approved"
    assert alice.json("comment", short, "Thanks!")["task"]["discussion"] == 4
    assert alice.json("archive", short)["task"]["state"] == "archived"
    shown = bob.json("show", task)
    assert [s["summary"] for s in shown["submissions"]] == ["Done.", "Again."]
    assert [e["command"] for e in bob.json("events", task)["events"]] == [
        "create", "publish", "claim", "start", "progress", "ask", "answer", "submit", "reject", "rework", "submit",
        "approve", "comment", "archive",
    ]  # fmt: skip


def test_what_people_read(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Every command says in words what came of it and what may be done next."""
    task = published(alice, tmp_path, input__a_csv="n\n1\n")
    assert bob.out("claim", task).startswith(f"{task} is claimed, held by bob, execution 1, lease until 20")
    assert "You may now: start, progress, ask" in bob.out("show", task)
    bob.json("progress", task, "70", "--note", "nearly")
    shown = bob.out("show", task)
    assert "progress:  70 %: nearly" in shown and "- input/a.csv" in shown
    bob.json("submit", task, "--summary", "All done.")
    alice.json("reject", task, "--reason", "no")
    shown = bob.out("show", task)
    assert "(rejected by alice)" in shown and "All done." in shown
    assert "created\talice\tpublished" in bob.out("events", task)
    assert "input/a.csv\ttext/csv\t4\talice" in bob.out("files", task)
    assert bob.out("list", "--state", "rejected").splitlines()[1].startswith(f"{task}\trejected\tCount rows")
    assert bob.out("list", "-q", "zebra") == "No task matches.\n"
    assert bob.out("queue").startswith("To do:\nid\tstate")
    assert alice.out("queue").startswith("Waiting for others:\nid\tstate")
    assert bob.out("me").startswith("bob (Bob), agent;") and "Figures: tasks 1" in bob.out("me")
    assert bob.out("files", published(alice, tmp_path / "2")) == "The task has no files.\n"


def test_show_tells_what_to_deliver_and_what_counts(alice: Person, tmp_path: Path) -> None:
    """A deliverable reads as its path, its description and what kind of file it is; a criterion as its id and text."""
    manifest = {
        "title": "Sum up", "description": "d", "acceptance": ["Right.", {"id": "sum", "text": "The sum is there."}],
        "deliverables": ["A log.", {"path": "result.json", "description": "the sums"}, {"path": "b"},
                         {"path": "*.md", "description": "a page", "media_type": "text/markdown", "required": False}],
    }  # fmt: skip
    (tmp_path / "manifest.yaml").write_text(json.dumps(manifest))
    shown = alice.out("show", alice.json("new", str(tmp_path / "manifest.yaml"))["task"]["id"])
    lines = "- A log.\n- result.json — the sums\n- b\n- *.md — a page (text/markdown, optional)\n"
    assert f"Deliverables:\n{lines}" in shown
    assert "Acceptance:\n- Right.\n- [sum] The sum is there.\n" in shown


def test_list_leaves_archived_tasks_out_and_says_so(alice: Person, tmp_path: Path) -> None:
    """The list is of live tasks, tells how many archived ones match too, and shows them when asked."""
    kept, *gone = (published(alice, tmp_path / str(n)) for n in range(3))

    def listed(*words: str) -> set[str]:
        return {task["id"] for task in alice.json("list", *words)["tasks"]}

    assert "left out" not in alice.out("list")
    for number, task in enumerate(gone, 1):
        alice.json("cancel", task, "--reason", "no")
        alice.json("archive", task)
        what = "1 archived task is" if number == 1 else "2 archived tasks are"
        assert f"{what} left out: --all lists everything, --state archived only those" in alice.out("list")
    assert listed() == {kept}
    assert listed("--all") == {kept, *gone}
    assert listed("--state", "archived") == listed("-q", "state:archived") == set(gone)
    assert all("left out" not in alice.out("list", *words) for words in (["--all"], ["-q", "zebra"]))
    assert alice.problem("list", "--all", "--state", "draft") == (2, "usage")


def test_list_says_what_was_meant(alice: Person, tmp_path: Path) -> None:
    """Where a misspelt word finds nothing, the list names a query to give instead, as a shell takes it."""
    task = published(alice, tmp_path / "p")
    assert alice.json("list", "-q", "cuont rows")["suggestions"] == ["count rows"]
    assert alice.out("list", "-q", "cuont rows") == "No task matches.\nDid you mean -q 'count rows'?\n"
    assert alice.out("list", "-q", "cuont $(rows)").splitlines()[1] == "Did you mean -q 'count $(rows)'?"
    assert alice.json("list", "-q", "count rows")["tasks"][0]["id"] == task
    assert "Did you mean" not in alice.out("list", "-q", "cuont rows", "--state", "draft")


def test_listings_are_filtered_and_paged(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Filters, orders and cursors reach the exchange; `me` stands for the caller."""
    tasks = [published(alice, tmp_path / str(n)) for n in range(3)]
    bob.json("claim", tasks[0])
    assert [t["id"] for t in bob.json("list", "--mine")["tasks"]] == [tasks[0]]
    assert len(alice.json("list", "--publisher", "me")["tasks"]) == 3
    assert bob.json("list", "--publisher", "me")["tasks"] == []
    first = alice.json("list", "--sort", "created", "--limit", "2")
    rest = alice.json("list", "--sort", "created", "--limit", "2", "--cursor", first["next"])
    assert sorted(t["id"] for t in (*first["tasks"], *rest["tasks"])) == sorted(tasks)
    assert "There are more: --cursor c." in alice.out("list", "--sort", "created", "--limit", "2")
    many = ("--priority", "3", "--reviewer", "alice", "--state", "published,claimed")
    assert len(alice.json("list", *many)["tasks"]) == 3
    for words in (["--limit", "0"], ["--sort", "colour"], ["--priority", "9"], ["-q", 'open"'], ["--cursor", "x"]):
        assert alice.problem("list", *words)[0] == 2, words


def test_refusals_have_the_rule_books_codes(alice: Person, bob: Person, tmp_path: Path) -> None:
    """A rule that says no is exit code 1 with its code, through either desk, and one sentence for people."""
    task = published(alice, tmp_path)
    assert alice.problem("approve", task) == (1, "wrong-state")
    bob.json("claim", task)
    assert alice.problem("claim", task) == (1, "already-claimed")
    assert alice.problem("release", task, "-m", "x") == (1, "not-executor")
    assert bob.problem("submit", task, "--summary", "x", "--execution", "7") == (1, "stale-execution")
    assert bob.problem("start", task, "--if-match", "0" * 40) == (1, "precondition-failed")
    assert bob.problem("show", "zzzz") == (1, "unknown-task")
    assert bob.problem("show", "x!") == (2, "bad-id")
    assert bob.problem("progress", task, "400") == (2, "invalid-field")
    assert bob.problem("ask", task) == (2, "invalid-field")
    assert bob.problem("ask", task, "a", "-m", "b") == (2, "usage")
    said = alice("claim", task)
    assert said.err.startswith(f"taskrepo: already-claimed: bob holds {task} until 20") and said.out == ""


def test_a_stale_execution_is_cited_not_invented(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Without a current execution the last one is cited, and the exchange refuses it."""
    task = published(alice, tmp_path)
    assert bob.problem("release", task, "-m", "x") == (1, "stale-execution")
    bob.json("claim", task)
    bob.json("release", task, "-m", "no time")
    assert bob.problem("submit", task, "--summary", "x") == (1, "stale-execution")


def test_the_same_idempotency_key_gives_the_same_answer(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Creating, claiming and claiming next may be repeated with their key, and happen once."""
    source = str(package(tmp_path / "p"))
    first = alice.json("new", source, "--idempotency-key", "k1")
    assert alice.json("new", source, "--idempotency-key", "k1")["commit"] == first["commit"]
    claimed = bob.json("claim", "--next", "--idempotency-key", "k2")
    assert bob.json("claim", "--next", "--idempotency-key", "k2")["commit"] == claimed["commit"]
    assert bob.problem("claim", "--next") == (1, "nothing-to-claim")
    assert bob.problem("claim") == (2, "usage")
    assert bob.problem("claim", "--next", claimed["task"]["id"]) == (2, "usage")
    assert bob.problem("claim", "--next", "--if-match", claimed["commit"]) == (2, "usage")
    assert bob.problem("start", claimed["task"]["id"], "--idempotency-key", "a b") == (2, "bad-request-id")


def test_fail_cancel_reopen_and_release(alice: Person, bob: Person, tmp_path: Path) -> None:
    """The other ways a task goes, each with its reason."""
    task = published(alice, tmp_path)
    bob.json("claim", task)
    failed = bob.json("fail", task, "-m", "empty input", "--fault", "task")
    assert (failed["task"]["state"], failed["task"]["executions"][0]["fault"]) == ("failed", "task")
    assert alice.json("reopen", task, "-m", "mended")["task"]["state"] == "published"
    bob.json("claim", task)
    assert bob.json("release", task, "-m", "no time")["task"]["state"] == "published"
    assert alice.json("cancel", task, "-m", "no longer needed")["task"]["reason"] == "no longer needed"


def test_why_gives_every_reason(alice: Person, bob: Person, tmp_path: Path) -> None:
    """`why` says that a task can be claimed, or each reason why it cannot."""
    source = package(tmp_path / "p")
    with (source / "manifest.yaml").open("a") as manifest:
        manifest.write("executor_constraints: human_only\nreasoning_tier: high\n")
    task = str(alice.json("new", str(source))["task"]["id"])
    why = bob.json("why", task)
    assert not why["claimable"] and len(why["reasons"]) == 2
    assert bob.out("why", task).startswith(f"You cannot claim {task}:\n- the task is human_only")
    free = published(alice, tmp_path / "2")
    assert bob.json("why", free)["claimable"]
    bob.json("claim", free)
    assert "it is claimed, held by bob" in alice.out("why", free)


def test_a_package_is_revised(alice: Person, tmp_path: Path) -> None:
    """Files are replaced, added and dropped; the manifest too; what is not given stays."""
    task = published(alice, tmp_path, input__a_csv="1", input__b_csv="2")
    second = package(tmp_path / "two", title="Count columns", input__a_csv="3", context__c_txt="4")
    revised = alice.json("revise", task, str(second), "--drop", "input/b.csv")["task"]
    assert revised["title"] == "Count columns"
    assert [f["path"] for f in revised["files"]] == ["context/c.txt", "input/a.csv"]
    assert alice.json("revise", task, "--drop", "context/c.txt")["task"]["version"] == 3
    assert alice.problem("revise", task, "--drop", "input/zzz") == (1, "unknown-file")


def test_downloads_land_inside_their_folder_intact(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Package, submissions and attachments come down with their hashes checked; other content is not replaced."""
    big = os.urandom(3 << 20)
    source = package(tmp_path / "p", README_md="Hello", input__a_csv="n\n1\n")
    (source / "input" / "big.bin").write_bytes(big)
    task = str(alice.json("new", str(source))["task"]["id"])
    bob.json("claim", task)
    bob.json("ask", task, "ok?", "--file", str(source / "README.md"))
    alice.json("answer", task, "yes")
    bob.json("submit", task, "--summary", "Done.", "--artifact", str(source / "README.md"))
    target = tmp_path / "down"
    listed = bob.json("download", task, "-o", str(target))["files"]
    assert {str(Path(f).relative_to(target)) for f in listed} == {
        "manifest.yaml", "README.md", "input/a.csv", "input/big.bin", "submissions/1/summary.md",
        "submissions/1/artifacts/README.md", "discussion/0001/README.md",
    }  # fmt: skip
    assert hashlib.sha256((target / "input/big.bin").read_bytes()).digest() == hashlib.sha256(big).digest()
    (target / "input/a.csv").write_text("mine")
    assert bob.problem("download", task, "input/a.csv", "-o", str(target)) == (2, "file-exists")
    assert (target / "input/a.csv").read_text() == "mine"
    bob.json("download", task, "input", "-o", str(target), "--force")
    assert (target / "input/a.csv").read_text() == "n\n1\n"
    assert bob.problem("download", task, "input/none", "-o", str(target)) == (2, "unknown-file")
    (tmp_path / "outside").mkdir()
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "input").symlink_to(tmp_path / "outside")
    assert bob.problem("download", task, "input/a.csv", "-o", str(tmp_path / "trap")) == (2, "bad-path")
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_cannot_be_sent_is_refused_before_anything_is(
    alice: Person, bob: Person, site: Site, tmp_path: Path
) -> None:
    """Missing, misplaced, linked and malformed files are named, and the ledger does not move."""
    task = published(alice, tmp_path / "1")
    bob.json("claim", task)
    before = site.head()
    assert alice.problem("new", str(tmp_path / "none")) == (2, "unreadable-file")
    assert alice.problem("new", str(tmp_path)) == (2, "no-manifest")
    bad = package(tmp_path / "bad", notes_txt="?")
    assert alice.problem("new", str(bad)) == (2, "bad-path")
    (bad / "notes.txt").unlink()
    (bad / "input").mkdir()
    (bad / "input" / "link").symlink_to("/etc/passwd")
    assert alice.problem("new", str(bad)) == (2, "bad-path")
    (tmp_path / "m.yaml").write_text("title: [1\n")
    assert alice.problem("new", str(tmp_path / "m.yaml")) == (2, "bad-yaml")
    (tmp_path / "big.yaml").write_text("#" * 70_000)
    assert alice.problem("new", str(tmp_path / "big.yaml")) == (2, "too-long")
    (tmp_path / "r.json").write_text("{")
    assert bob.problem("submit", task, "--summary", "x", "--result", str(tmp_path / "r.json")) == (2, "bad-json")
    assert bob.problem("submit", task, str(tmp_path / "none")) == (2, "unreadable-file")
    (tmp_path / "empty").mkdir()
    assert bob.problem("submit", task, str(tmp_path / "empty")) == (2, "no-summary")
    assert bob.problem("comment", task, "x", "--file", str(tmp_path)) == (2, "unreadable-file")
    assert site.head() == before


def test_hostile_text_steers_no_terminal(alice: Person, bob: Person, site: Site, tmp_path: Path) -> None:
    """Escape sequences and direction marks in a task's text reach neither the terminal nor the JSON unescaped."""
    source = tmp_path / "m.yaml"
    source.write_text('title: "a\\u202eb\\u009bc"\ndescription: "d\\u2066e\\u200bf"\n', "utf-8")
    made = alice("new", str(source))
    assert made.code == 0, made
    for said in (bob("list"), bob("list", "--json"), made, bob("show", made.out[:8])):
        text = said.out + said.err
        assert not set("\x1b\u009b\u202e\u2066\u200b\x07") & set(text)


def test_offline_needs_somebody(site: Site) -> None:
    """On a data folder the caller says who he is; strangers and the suspended are refused."""
    data = str(site.exchange.config.data)
    shell = Shell()
    assert shell.problem("list", "--data", data) == (2, "no-actor")
    assert shell.problem("list", "--data", data, "--as", "zoe") == (1, "unknown-actor")
    shell.json("actor", "suspend", "carol", "--data", data)
    assert shell.problem("list", "--data", data, "--as", "carol") == (1, "actor-suspended")


def test_offline_events_say_so(site: Site, tmp_path: Path) -> None:
    """What is done on the data folder is recorded as done on the command line."""
    alice = Shell({"TASKREPO_DATA": str(site.exchange.config.data)})
    made = alice.json("new", str(package(tmp_path / "p")), "--as", "alice")
    shown = alice.json("events", made["task"]["id"], "--as", "alice")
    assert [e["via"] for e in shown["events"]] == ["cli"]


def test_offline_heartbeats_and_contents(site: Site) -> None:
    """The offline desk renews leases and refuses files that are not there, as the server does."""
    task = site.task()
    with open_desk(site.exchange.config, "bob") as desk:
        desk.command("claim", task, {})
        assert desk.heartbeat(task[:6], 1)["lease"]["seconds"] == 7200
        with pytest.raises(Refused, match="stale-execution"):
            desk.heartbeat(task, 2)
        with pytest.raises(Refused, match="unknown-file"), desk.content(task, "", "input/none"):
            pass


def test_a_server_needs_an_address_and_a_key(site: Site) -> None:
    """What is missing is named with the way out; a wrong key is refused; nobody listening is exit code 3."""
    said = Shell()("list")
    assert said.code == 2 and "TASKREPO_URL" in said.err and "--data" in said.err
    assert Shell({"TASKREPO_URL": site.url}).problem("list") == (2, "no-key")
    assert at_server(site)("tr_wrong").problem("list") == (1, "unauthenticated")
    assert Shell({"TASKREPO_URL": "ftp://x", "TASKREPO_KEY": "k"}).problem("list") == (2, "bad-url")
    words = ("--url", site.url + "/", "--key", site.keys["bob"], "me")
    assert Shell().json(*words)["actor"]["id"] == "bob"


def test_the_script_itself_answers_and_exits(site: Site, tmp_path: Path) -> None:
    """The installed script: JSON on standard output, sentences on standard error, no colour, the exit codes."""
    bob = at_server(site)("bob")
    task = site.task()
    assert json.loads(bob.script("claim", task, "--json").out)["task"]["assignee"] == "bob"
    again = at_server(site)("alice").script("claim", task)
    assert (again.code, again.out) == (1, "") and again.err.startswith("taskrepo: already-claimed: bob holds")
    assert bob.script("frob").err == "taskrepo: usage: 'frob' is not a command; `taskrepo --help` lists them\n"
    assert bob.script("clam").err.startswith("taskrepo: usage: 'clam' is not a command; did you mean 'claim'?")
    assert "\x1b" not in bob.script("list", FORCE_COLOR="1", TERM="xterm-256color").out
    assert bob.script("comment", task, "-", stdin="Grüße\n".encode()).code == 0
    assert bob.script("comment", task, "-", stdin=b"\xff").err.startswith("taskrepo: bad-encoding: stdin")


def test_a_closed_pipe_is_no_fault(site: Site) -> None:
    """A reader that goes away ends the command quietly."""
    shell = at_server(site)("bob")
    process = shell.started("list", "--json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(PATIENCE) in (0, 1)
    assert process.stderr.read() == b""
    process.stderr.close()
