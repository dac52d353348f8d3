"""`taskrepo clone` and `taskrepo do`: real git, a real server, and clones as people have them."""

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo.commands import RetireKey
from taskrepo.verify import verify
from tests.support.clones import below, git
from tests.support.http import Site, running
from tests.support.shell import Said, Shell, package

QUIET = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
LARGE = bytes(range(256)) * 5000  # over the policy's large_file_bytes


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange, served."""
    with running(tmp_path_factory.mktemp("git")) as running_site:
        yield running_site


class Person:
    """Somebody with a clone that `taskrepo clone` has made, which their commands are about."""

    def __init__(self, site: Site, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.shell = Shell({**QUIET, "TASKREPO_KEY": site.keys[name]})
        said = self.shell("clone", site.url, str(folder))
        assert said.code == 0, said

    def do(self, *words: str) -> Said:
        """Ask for something."""
        return self.shell("do", "-C", str(self.folder), *words)

    def done(self, *words: str) -> str:
        """What is said of a request that must be taken."""
        said = self.do(*words)
        assert (said.code, said.err) == (0, ""), said
        return said.out

    def git(self, *words: str) -> str:
        """What a command of git prints that must succeed."""
        return git(self.folder, *words).strip()

    def seen(self) -> tuple[str, str, str]:
        """The branch, the working tree and what is staged."""
        return self.git("rev-parse", "HEAD"), self.git("status", "--porcelain"), self.git("diff", "--cached")


@pytest.fixture(scope="module")
def people(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Person]:
    """A person by name; their clone is the same all along, and brought up to date."""
    met: dict[str, Person] = {}
    homes = tmp_path_factory.mktemp("homes")

    def meet(name: str) -> Person:
        if name not in met:
            met[name] = Person(site, name, homes / name)
        met[name].git("fetch", "--quiet")
        met[name].git("reset", "--quiet", "--hard", "origin/main")
        return met[name]

    return meet


def state(site: Site, task: str) -> str:
    """Where the task stands."""
    return site.exchange.snapshot().task(task).state


# ── clone ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clone_is_ready_for_stock_git(site: Site, tmp_path: Path) -> None:
    """What `clone` sets up signs, pushes and pulls by git alone; the key is in a file only its owner may read."""
    bob, task = Person(site, "bob", tmp_path / "mine"), site.task()
    bob.git("pull", "--quiet")
    bob.git("commit", "--quiet", "--allow-empty", "-m", f"claim {task}")
    bob.git("push", "--quiet")
    bob.git("pull", "--quiet")
    assert state(site, task) == "claimed"
    assert bob.git("log", "-1", "--format=%G?", "HEAD^2") == "G"
    config, key = (bob.folder / ".git" / "config").read_text(), site.keys["bob"]
    assert key not in config
    kept = bob.folder / ".git" / "taskrepo"
    assert (kept / "key").read_text() == f"{key}\n"
    for secret in (kept / "key", kept / "signing_key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert site.exchange.directory.actors["bob"].keys[-1].name.startswith("git on ")


def test_cloning_again_mends_what_is_there(site: Site, tmp_path: Path) -> None:
    """A clone whose settings are broken is set right; commits, changes and the registered key stay."""
    bob = Person(site, "bob", tmp_path / "c")
    keys = len(site.exchange.directory.actors["bob"].keys)
    for name in ("user.name", "remote.origin.push", "gpg.format"):
        bob.git("config", "--unset", name)
    bob.git("config", "user.email", "else@example.org")
    (bob.folder / ".git" / "taskrepo" / "key").unlink()
    (bob.folder / ".git" / "hooks" / "pre-push").unlink()
    (bob.folder / "README.md").write_text("changed\n")
    bob.git("commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", "claim 4k7q")
    before = bob.seen()
    said = bob.shell.json("clone", site.url, str(bob.folder))
    assert (said["new"], said["registered"], said["actor"], said["up_to_date"]) == (False, False, "bob", True)
    assert bob.seen() == before
    assert len(site.exchange.directory.actors["bob"].keys) == keys
    read = {name: bob.git("config", name) for name in ("user.name", "user.email", "gpg.format", "remote.origin.push")}
    assert list(read.values()) == ["bob", "bob@taskrepo.invalid", "ssh", "HEAD:refs/for/main"]
    assert (bob.folder / ".git" / "hooks" / "pre-push").exists()
    bob.git("fetch")


def test_one_may_sign_with_a_key_of_ones_own(site: Site, tmp_path: Path) -> None:
    """`--signing-key` takes a key of any kind, or an agent's by its public half; a retired one is turned away."""
    shell, key = Shell({**QUIET, "TASKREPO_KEY": site.keys["carol"]}), tmp_path / "ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key], check=True)
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    agent = dict(re.findall(r"(SSH_\w+)=([^;]+);", started))
    try:
        subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, **agent})
        key.unlink()
        told = shell.json("clone", site.url, str(tmp_path / "c"), "--signing-key", f"{key}.pub")
        assert told["registered"] and told["signing_key"] == f"{key}.pub"
        with_agent = Shell({**shell.variables, **agent})
        said = with_agent("do", "-C", str(tmp_path / "c"), "comment", site.task(), "By an agent's key.")
        assert said.code == 0, said
    finally:
        subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True, env={**os.environ, **agent})
    site.exchange.govern(RetireKey("carol", told["fingerprint"]), "carol", via="api")
    again = shell.problem("clone", site.url, str(tmp_path / "c"), "--signing-key", f"{key}.pub")
    assert again == (2, "retired-key")
    made = shell.json("clone", site.url, str(tmp_path / "c"))
    assert made["fingerprint"] != told["fingerprint"] and made["registered"]


def test_the_api_key_may_stay_in_the_environment(site: Site, tmp_path: Path) -> None:
    """With `--no-key-file` nothing of the key is in the clone; a key in a file goes before the environment's."""
    shell, folder = Shell({**QUIET, "TASKREPO_KEY": site.keys["bob"]}), tmp_path / "c"
    assert shell("clone", site.url, str(folder), "--no-key-file").code == 0
    key = site.keys["bob"].encode()
    assert not any(key in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    task = site.task()
    assert shell("do", "-C", str(folder), "claim", task).code == 0
    assert replace(shell, variables=QUIET).problem("do", "-C", str(folder), "start", task) == (1, "unauthenticated")
    assert shell("clone", site.url, str(folder)).code == 0
    other = {**QUIET, "TASKREPO_KEY": "tr_another_exchange"}
    assert replace(shell, variables=other)("do", "-C", str(folder), "start", task).code == 0


def test_what_cannot_be_cloned_is_said(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in use, a missing or wrong key, a wrong address and a machine without git each have their own words."""
    shell, folder = Shell({**QUIET, "TASKREPO_KEY": site.keys["bob"]}), tmp_path / "taken"
    folder.mkdir()
    (folder / "file").touch()
    assert shell.problem("clone", site.url, str(folder)) == (2, "folder-exists")
    git(tmp_path, "init", "--quiet", "other")
    git(tmp_path / "other", "remote", "add", "origin", "https://me:secret@example.org/x.git")
    said = shell("clone", site.url, str(tmp_path / "other"))
    assert said.code == 2 and "https://example.org/x.git" in said.err and "secret" not in said.err
    new = str(tmp_path / "new")
    assert replace(shell, variables=QUIET).problem("clone", site.url, new) == (2, "no-key")
    wrong = replace(shell, variables={**QUIET, "TASKREPO_KEY": "tr_wrong"})
    assert wrong.problem("clone", site.url, new) == (1, "unauthenticated")
    assert shell.problem("clone", "tasks.example", new) == (2, "bad-url")
    assert shell.problem("clone", f"{site.url}/elsewhere", new)[0] == 3
    assert shell.problem("clone", site.url, new, "--signing-key", str(tmp_path / "none")) == (2, "unreadable-file")
    empty = replace(shell, variables={**shell.variables, "PATH": str(tmp_path)})
    assert empty.problem("clone", site.url, str(tmp_path / "no-git")) == (2, "no-git")
    assert not (tmp_path / "no-git").exists()
    assert shell.problem("do", "-C", str(tmp_path), "claim", "4k7q") == (2, "no-clone")
    assert shell.problem("do", "-C", str(tmp_path / "other"), "claim", "4k7q") == (2, "no-clone")


# ── do ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_task_lives_by_do_alone(site: Site, people: Callable[[str], Person], tmp_path: Path) -> None:
    """From a package to an approved submission, with files small and large, the same large one delivered twice."""
    alice, bob, carol = map(people, ("alice", "bob", "carol"))
    source = package(tmp_path / "count", README_md="Rows.\n", input__a_csv="a\n1\n")
    with (source / "manifest.yaml").open("a") as manifest:
        manifest.write("review: carol\n")
    (source / "input" / "big.bin").write_bytes(LARGE)
    said = alice.done("create", str(source), "--draft")
    task = re.findall(r"create (\w{8}): is draft", said)[0]
    assert alice.git("log", "-1", "--format=%s") == f"create {task}: Count rows"
    alice.done("revise", task, "--drop", "README.md")
    alice.done("publish", task)
    assert "its lease runs until" in bob.done("claim", task[:6])
    (tmp_path / "a.log").write_text("x\n")
    bob.done("progress", task, "60%", "parser", "done", "--file", str(tmp_path / "a.log"))
    bob.done("ask", task, "-m", "Do empty rows count?\n\nThere are two.")
    alice.git("pull", "--quiet")
    alice.done("answer", task, "They do.")
    out = tmp_path / "out"
    (out / "artifacts").mkdir(parents=True)
    (out / "summary.md").write_text("# Rows\n\nTwo.\n")
    (out / "result.json").write_text('{"rows": 2}\n')
    (out / "artifacts" / "big.bin").write_bytes(LARGE[::-1])
    bob.done("submit", task, "--from", str(out), "--log", str(tmp_path / "a.log"))
    carol.git("pull", "--quiet")
    carol.done("reject", task, "three")
    bob.done("rework", task)
    bob.done("submit", task, "three rows", "--file", str(out / "artifacts" / "big.bin"))
    carol.git("pull", "--quiet")
    carol.done("approve", task, "clean", "work")

    snapshot = site.exchange.snapshot()
    found = snapshot.task(task)
    assert found.state == "approved"
    assert [(file.path, file.lfs) for file in found.files] == [("input/a.csv", False), ("input/big.bin", True)]
    first, second = (snapshot.delivery(found, number) for number in (1, 2))
    assert (first.summary, second.summary) == ("# Rows\n\nTwo.", "three rows")
    assert [(file.path, file.lfs) for file in first.files] == [
        ("artifacts/big.bin", True), ("logs/a.log", False), ("result.json", False),
    ]  # fmt: skip
    assert second.files[0].sha256 == first.files[0].sha256
    remarks = [remark.content.text for remark in snapshot.discussion(found)]
    assert remarks == ["parser done", "Do empty rows count?\n\nThere are two.", "They do."]
    assert carol.seen()[:2] == (site.head(), "")
    assert carol.git("log", "--format=%G?", "-1", "HEAD^2") == "G"
    assert verify(site.exchange.config.repository).problem is None


def test_a_refused_request_leaves_the_clone_as_it_was(site: Site, people: Callable[[str], Person]) -> None:
    """Branch, staged and changed files are the same after a refusal, whose code and words are shown."""
    bob, task = people("bob"), site.task()
    (bob.folder / "README.md").write_text("mine\n")
    (bob.folder / "note").write_text("staged\n")
    bob.git("add", "note")
    before = bob.seen()
    said = bob.do("start", task)
    assert said.code == 1 and said.err.startswith("taskrepo: wrong-state: ") and bob.seen() == before
    assert bob.shell.problem("do", "-C", str(bob.folder), "claim", "zzzz") == (1, "unknown-task")
    # Taken, the branch goes on, and what was changed is as it was; git itself would refuse to overwrite it.
    assert "is claimed" in bob.done("claim", task)
    assert bob.seen() == (site.head(), *before[1:])


def test_a_decision_is_about_what_the_clone_shows(site: Site, people: Callable[[str], Person]) -> None:
    """Approving without having seen the latest submission is refused; after a pull it is taken."""
    alice, bob = people("alice"), people("bob")
    task = site.task()
    bob.done("claim", task)
    alice.git("pull", "--quiet")
    bob.done("submit", task, "first")
    assert alice.shell.problem("do", "-C", str(alice.folder), "approve", task) == (1, "precondition-failed")
    alice.git("pull", "--quiet")
    alice.done("approve", task)
    assert state(site, task) == "approved"


def test_requests_may_be_rehearsed_and_collected(site: Site, people: Callable[[str], Person]) -> None:
    """`--dry-run` changes nothing anywhere; with `--no-push` commits wait on the branch, and one push sends all."""
    bob, task = people("bob"), site.task()
    bob.git("pull", "--quiet")
    before = bob.seen(), site.head()
    assert f"claim {task}: would be claimed" in bob.done("claim", task, "--dry-run")
    assert (bob.seen(), site.head()) == before
    assert "git push asks for it" in bob.done("claim", task, "--no-push")
    bob.done("start", task, "--no-push")
    assert (site.head(), state(site, task)) == (before[1], "published")
    told = bob.shell.json("do", "-C", str(bob.folder), "progress", task, "50%")
    assert [line.split(":")[0] for line in told["lines"] if not line.startswith(" ")] == [
        f"{command} {task}" for command in ("claim", "start", "progress")
    ]
    assert told["commit"] == site.head() == bob.seen()[0]
    assert told["request"] == bob.git("rev-parse", "HEAD^2")


def test_an_external_id_decides_the_id(site: Site, people: Callable[[str], Person], tmp_path: Path) -> None:
    """A package with an `external_id` is created under the id the exchange names, and only once."""
    alice, source = people("alice"), package(tmp_path / "p")
    with (source / "manifest.yaml").open("a") as manifest:
        manifest.write("external_id: git-1\n")
    task = re.findall(r"create (\w{8}): is published", alice.done("create", str(source)))[0]
    assert site.exchange.snapshot().task(task).manifest.external_id == "git-1"
    said = alice.do("create", str(source))
    assert (said.code, said.err.split(": ")[1]) == (1, "duplicate-external-id")


def test_the_lines_that_are_shown_do_the_same(site: Site, people: Callable[[str], Person], tmp_path: Path) -> None:
    """What `--show` prints can be pasted, and comes to the same request; showing alone does nothing."""
    bob, task = people("bob"), site.task()
    bob.git("pull", "--quiet")
    before = bob.seen(), site.head()
    script = tmp_path / "it's run.sh"
    script.write_text("echo\n")
    script.chmod(0o755)
    (tmp_path / "big.bin").write_bytes(LARGE)
    for words in (
        ("claim", task),
        ("progress", task, "5%", "it's", "begun"),
        ("submit", task, "-m", "# Done\n\nAll of it.", "--file", str(script), "--file", str(tmp_path / "big.bin")),
    ):
        shown = bob.done(*words, "--show")
        assert (bob.seen(), site.head()) == before
        done = subprocess.run(["sh", "-e", "-c", shown], capture_output=True, text=True, env=bob.shell.environment())
        assert done.returncode == 0, f"{done.args[-1]}\n{done.stderr}"
        before = bob.seen(), site.head()
        assert before[0][0] == before[1]
    found = site.exchange.snapshot().task(task)
    delivery = site.exchange.snapshot().delivery(found, 1)
    assert (delivery.summary, [file.path for file in delivery.files]) == (
        "# Done\n\nAll of it.", ["artifacts/big.bin", "artifacts/it's run.sh"],
    )  # fmt: skip
    assert found.execution is not None and found.execution.note == "it's begun"


@pytest.mark.parametrize(("words", "said"), [
    (("clam", "4k7q"), "did you mean 'claim'?"),
    (("expire", "4k7q"), "there are create, "),
    (("claim", "4k7q", "please"), "claim takes no words"),
    (("claim", "4k7q", "--file", "x"), "--file is for submit, comment"),
    (("comment", "4k7q", "a", "-m", "b"), "say it once"),
    (("comment", "4k7q", "--from", "x"), "--from is for submit, revise"),
    (("claim", "4k7q", "--dry-run", "--no-push"), "give one of them"),
    (("submit", "4k7q"), "say what you did"),
    (("submit", "4k7q", "done", "--file", "/nowhere"), "does not exist"),
    (("create", "/nowhere"), "does not exist"),
    (("claim", "4k"), "is not a task id"),
])  # fmt: skip
def test_malformed_requests_are_named(people: Callable[[str], Person], words: tuple[str, ...], said: str) -> None:
    """What cannot be a request is exit code 2 and a sentence, before anything is made."""
    bob = people("bob")
    told = bob.do(*words)
    assert (told.code, told.out) == (2, "") and said in told.err


def test_nobody_answers_and_nobody_is_known(site: Site, people: Callable[[str], Person], tmp_path: Path) -> None:
    """An exchange that is away is exit code 3, a key that it does not know 1; the clone stays as it was."""
    bob, task = people("bob"), site.task()
    before, url = bob.seen(), bob.git("config", "remote.origin.url")
    bob.git("config", "remote.origin.url", "http://127.0.0.1:1/git/exchange.git")
    assert bob.shell.problem("do", "-C", str(bob.folder), "claim", task) == (3, "unreachable")
    bob.git("config", "remote.origin.url", url)
    kept = bob.folder / ".git" / "taskrepo" / "key"
    kept.write_text("tr_revoked\n")
    assert bob.shell.problem("do", "-C", str(bob.folder), "claim", task) == (1, "unauthenticated")
    kept.write_text(site.keys["bob"])
    assert bob.seen() == before


def test_several_agents_may_share_a_clone(site: Site, people: Callable[[str], Person]) -> None:
    """Requests made at once in one clone all land, and leave it where the ledger is."""
    bob, tasks = people("bob"), [site.task() for _ in range(4)]

    def commented(task: str) -> Said:
        return bob.shell.script("do", "-C", str(bob.folder), "comment", task, "Hello.")

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(commented, tasks))
    assert [each.code for each in said] == [0] * 4, said
    assert [site.exchange.snapshot().task(task).discussion for task in tasks] == [1] * 4
    bob.git("pull", "--quiet")
    assert bob.seen()[:2] == (site.head(), "")


def test_a_file_over_the_limit_is_refused(site: Site, people: Callable[[str], Person], tmp_path: Path) -> None:
    """What the exchange's Git LFS server turns away is said in its words, and leaves nothing."""
    bob, task = people("bob"), site.task()
    bob.done("claim", task)
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(3 << 20)
    site.exchange.amend_policy(lambda policy: replace(policy, max_file_bytes=2 << 20), "admin", via="cli")
    try:
        before = bob.seen(), site.head()
        said = bob.do("submit", task, "done", "--file", str(big))
        assert said.code == 1 and "file-too-large" in said.err, said
        bob.git("fetch", "--quiet")
        assert (bob.seen(), state(site, task)) == (before[0], "claimed")
    finally:
        site.exchange.amend_policy(lambda policy: replace(policy, max_file_bytes=1 << 30), "admin", via="cli")


def test_paths_lie_where_the_exchange_looks(people: Callable[[str], Person], site: Site, tmp_path: Path) -> None:
    """Attachments of the second remark are in its own folder, whatever the first one brought."""
    bob, task, note = people("bob"), site.task(), tmp_path / "note.txt"
    note.write_text("x\n")
    bob.done("comment", task, "one")
    bob.done("comment", task, "two", "--file", str(note))
    assert (bob.folder / below(task, "discussion/0002/note.txt")).read_text() == "x\n"
