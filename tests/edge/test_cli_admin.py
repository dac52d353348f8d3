"""The commands on an exchange's own machine."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import urllib3

from taskrepo import diagnosis, history
from taskrepo.cli import parse
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.signing import Signer
from taskrepo.verbs import VERBS
from tests.support.receiver import receiving
from tests.support.shell import SCRIPT, Shell, package
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell on a new exchange with the admin `admin`."""
    made = Shell({"TASKREPO_DATA": str(tmp_path / "exchange")})
    made.json("init")
    return made


def data_of(shell: Shell) -> Path:
    """The data folder."""
    return Path(shell.variables["TASKREPO_DATA"])


def test_init_tells_the_first_admins_key_and_link_once(tmp_path: Path) -> None:
    """`init` answers with a working key and link; a second one is refused and changes nothing."""
    shell = Shell()
    made = shell.json("init", "--data", str(tmp_path / "x"), "--admin", "root", "--admin-name", "Root")
    with Exchange(Config(tmp_path / "x")) as exchange:
        assert exchange.accounts.authenticate(made["key"], 2**31).actor == "root"  # type: ignore[union-attr]
        assert exchange.accounts.redeem_link(made["link"].removeprefix("/login/link/"), 0) == "root"
        head = exchange.store.head()
    assert head == made["commit"]
    assert shell.problem("init", "--data", str(tmp_path / "x")) == (1, "duplicate-id")
    assert shell("init", "--data", str(tmp_path / "y")).out.count("shown this once") == 1


def test_commands_without_an_exchange_say_how_to_make_one(tmp_path: Path) -> None:
    """Every command on a folder without an exchange is refused with the way out."""
    shell = Shell({"TASKREPO_DATA": str(tmp_path)})
    for words in (["actor", "list"], ["doctor"], ["reindex"], ["serve"], ["list", "--as", "bob"]):
        said = shell(*words)
        assert (said.code, "taskrepo init" in said.err) == (2, True), said


def test_actors_are_added_shown_changed_suspended_and_restored(shell: Shell) -> None:
    """An actor's whole life on the command line, each step an event of the ledger."""
    made = shell.json("actor", "add", "bob", "--type", "agent", "--name", "Bob", "--skill", "python", "--skill", "sql",
                      "--max-claims", "3")  # fmt: skip
    assert made["key"].startswith("tr_") and made["actor"]["capabilities"]["skills"] == ["python", "sql"]
    changed = shell.json("actor", "change", "bob", "--compute", "medium", "--name", "Robert", "--no-skills", "--admin",
                         "--max-claims", "0")  # fmt: skip
    assert made["actor"]["capabilities"]["max_claims"] == 3 and "max_claims" not in changed["actor"]["capabilities"]
    assert changed["actor"]["capabilities"]["compute"] == "medium" and changed["actor"]["capabilities"]["skills"] == []
    assert (changed["actor"]["name"], changed["actor"]["grants"]) == ("Robert", ["admin"])
    assert shell.problem("actor", "suspend", "bob") == (2, "no-actor")
    assert not shell.json("actor", "suspend", "bob", "--as", "admin")["actor"]["active"]
    with Exchange(Config(data_of(shell))) as exchange:
        assert exchange.accounts.authenticate(made["key"], 0) is None
    assert shell.problem("actor", "link", "bob") == (1, "actor-suspended")
    assert shell.json("actor", "restore", "bob")["actor"]["active"]
    assert shell.json("actor", "change", "bob", "--no-admin", "--as", "admin")["actor"]["grants"] == []
    assert [a["id"] for a in shell.json("actor", "list")["actors"]] == ["admin", "bob", "exchange"]
    assert shell("actor", "show", "bob").out.startswith("bob (Robert), agent; reasoning_tier medium")


def test_refused_changes_of_actors_change_nothing(shell: Shell) -> None:
    """Unknown, duplicate and reserved actors, strangers and last admins are refused by the rule book."""
    shell.json("actor", "add", "bob", "--type", "agent", "--no-key")
    before = shell.json("verify")["head"]
    assert shell.problem("actor", "add", "bob", "--type", "agent") == (1, "duplicate-id")
    assert shell.problem("actor", "add", "Bob!", "--type", "agent") == (2, "invalid-field")
    assert shell.problem("actor", "add", "nobody", "--type", "robot") == (2, "usage")
    assert shell.problem("actor", "show", "zoe") == (1, "unknown-actor")
    assert shell.problem("actor", "change", "bob", "--name", "B", "--as", "bob") == (1, "not-admin")
    assert shell.problem("actor", "suspend", "admin") == (1, "last-admin")
    assert shell.json("verify")["head"] == before


def test_the_exchange_itself_has_no_credentials(shell: Shell) -> None:
    """No key, link or password is made with which somebody would be the exchange."""
    for command in (("key", "add"), ("actor", "link"), ("actor", "password")):
        assert shell.problem(*command, "exchange") == (1, "exchange-only"), command


def test_sign_in_links_and_passwords_work(shell: Shell) -> None:
    """A link and a password made on the command line sign their actor in."""
    link = shell.json("actor", "link", "admin")["link"].removeprefix("/login/link/")
    assert shell("actor", "password", "admin", "--stdin", stdin=b"correct horse battery\n").code == 0
    assert shell("actor", "password", "admin", "--stdin", stdin=b"short\n").code == 2
    assert shell.problem("actor", "password", "admin") == (2, "no-terminal")
    with Exchange(Config(data_of(shell))) as exchange:
        assert exchange.accounts.redeem_link(link, 0) == "admin"
        assert exchange.accounts.check_password("admin", "correct horse battery", 0)


@pytest.mark.parametrize(("typed", "code"), [(["correct horse battery"] * 2, 0), (["correct horse", "wrong horse"], 2)])
def test_a_typed_password_is_typed_twice(shell: Shell, typed: list[str], code: int) -> None:
    """On a terminal the password is asked for twice and set only if both are the same."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(SCRIPT, ["taskrepo", "actor", "password", "admin"], shell.environment())
    shown = b""
    for text in typed:
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1024)
        os.write(terminal, text.encode() + b"\n")
        shown = b""
    try:
        while os.read(terminal, 1024):
            pass
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    os.close(terminal)


def test_api_keys_are_made_listed_and_revoked(shell: Shell) -> None:
    """A key's secret is shown once; lists name it without; a revoked one ends at once."""
    made = shell.json("key", "add", "admin", "--name", "laptop")
    assert made["key"] not in shell("key", "list", "--json").out
    assert made["id"] in [key["id"] for key in shell.json("key", "list", "admin")["api_keys"]]
    assert shell("key", "revoke", made["id"]).code == 0
    with Exchange(Config(data_of(shell))) as exchange:
        assert exchange.accounts.authenticate(made["key"], 0) is None
    assert shell.problem("key", "revoke", "zzzzzzzz") == (1, "unknown-key")
    assert shell.problem("key", "list", "zoe") == (1, "unknown-actor")


def test_the_policy_is_shown_and_set_field_by_field(shell: Shell) -> None:
    """Values take the type of their field; what does not fit is refused with the field's name."""
    words = ("lease_seconds=3600", "self_review=true", "denied_suffixes=.exe, .bat", "name=Our exchange")
    policy = shell.json("policy", "set", *words)["policy"]
    assert (policy["lease_seconds"], policy["self_review"], policy["name"]) == (3600, True, "Our exchange")
    assert policy["denied_suffixes"] == [".exe", ".bat"]
    assert "lease_seconds\t3600" in shell("policy", "show").out
    assert shell.problem("policy", "set", "lease_seconds=soon") == (2, "invalid-field")
    assert shell.problem("policy", "set", "self_review=maybe") == (2, "invalid-field")
    assert shell.problem("policy", "set", "colour=red") == (2, "invalid-field")
    assert shell.problem("policy", "set", "lease_seconds") == (2, "usage")
    assert shell.problem("policy", "set", "lease_seconds=3600") == (1, "nothing-to-change")


def test_verify_names_the_first_bad_commit(shell: Shell, tmp_path: Path) -> None:
    """A sound history verifies, also in a clone; a commit nobody signed is named, with exit code 1."""
    shell.json("actor", "add", "bob", "--type", "agent")
    assert shell.json("verify")["problem"] is None and "as the rules make them" in shell("verify").out
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", Config(data_of(shell)).repository, clone], check=True)
    assert shell("verify", str(clone)).code == 0
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(["git", "-C", clone, *who, "commit", "-q", "--allow-empty", "-m", "hello"], check=True)
    subprocess.run(["git", "-C", clone, "update-ref", "refs/remotes/origin/main", "HEAD"], check=True)
    bad = subprocess.check_output(["git", "-C", clone, "rev-parse", "HEAD"], text=True).strip()
    said = shell("verify", str(clone))
    assert said.code == 1 and bad in said.out
    assert shell("verify", str(clone), "--json").json["problem"]["commit"] == bad
    assert shell.problem("verify", str(tmp_path)) == (2, "no-repository")


def test_the_doctor_finds_what_is_wrong_and_changes_nothing(shell: Shell) -> None:
    """A healthy folder passes; a readable secret, a stale lock and a damaged large file are each named."""
    assert shell("doctor").out.endswith("All is well.\n")
    data, config = data_of(shell), Config(data_of(shell))
    config.private.chmod(0o755)
    lock = config.repository / "refs" / "heads" / "main.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    large = data / "lfs" / "aa" / "bb" / ("aabb" + "0" * 60)
    large.parent.mkdir(parents=True)
    large.write_bytes(b"other")
    said = shell("doctor", "--json")
    assert said.code == 1 and lock.exists()
    assert {c["name"] for c in said.json["checks"] if not c["ok"]} == {"private files", "locks", "large files"}


def test_the_doctor_sees_a_foreign_key_and_a_broken_repository(shell: Shell) -> None:
    """A signing key the ledger does not know and an object git cannot read are found."""
    config = Config(data_of(shell))
    config.signing_key.unlink()
    Signer.generate(config.signing_key)
    for pack in (config.repository / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-30])
    wrong = {c["name"] for c in shell("doctor", "--json").json["checks"] if not c["ok"]}
    assert {"signing key", "git fsck"} <= wrong


def found(shell: Shell, check: str) -> str:
    """What the doctor says of one check."""
    (said,) = (c["found"] for c in shell("doctor", "--json").json["checks"] if c["name"] == check)
    return str(said)


def test_the_doctor_says_what_it_could_not_check(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git the check by git counts as wrong; other checks stand."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert found(shell, "git fsck").startswith("cannot be checked:")
    assert found(shell, "locks") == "no stale lock"


def test_the_doctor_knows_a_commit_nobody_here_signed(shell: Shell) -> None:
    """A latest commit with a foreign signature, or none, is named."""
    repository = Config(data_of(shell)).repository
    signed = subprocess.check_output(["git", "-C", repository, "cat-file", "commit", "main"])
    signer = Signer.of(bytes(32))
    payload = history.read_commit(signed).payload
    foreign = history.add_signature(payload, signer.sign(payload))
    write = ["git", "-C", repository, "hash-object", "-t", "commit", "-w", "--stdin"]
    oid = subprocess.check_output(write, input=foreign, text=False).decode().strip()
    (repository / "refs" / "heads" / "main").write_text(f"{oid}\n")
    assert found(shell, "latest commits").startswith(f"{oid} is not signed by the exchange")


def test_the_doctor_tells_how_the_index_stands(shell: Shell, tmp_path: Path) -> None:
    """None yet, behind and at the head are all right, and told apart."""
    assert "none yet" in found(shell, "listing index")
    shell.json("reindex")
    assert "stands at" in found(shell, "listing index")
    shell.json("actor", "add", "bob", "--type", "agent")
    assert "behind" in found(shell, "listing index")


def test_the_doctor_reads_large_files_up_to_a_limit(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large files are hashed, the newest first, until enough has been read."""
    source = package(tmp_path / "p")
    (source / "input").mkdir()
    for name in "ab":
        (source / "input" / name).write_bytes(name.encode() * (2 << 20))
    shell.json("new", str(source), "--as", "admin")
    assert found(shell, "large files") == "2 kept, all intact"
    monkeypatch.setattr(diagnosis, "_READ_BYTES", 1)
    assert found(shell, "large files") == "2 kept; the newest gigabyte is intact"


def test_the_index_is_built_again_from_the_ledger(shell: Shell, tmp_path: Path) -> None:
    """`reindex` makes an index that stands at the ledger's head, unless a server keeps it."""
    made = shell.json("new", str(package(tmp_path / "p")), "--as", "admin")
    answer = shell.json("reindex")
    assert answer == {"tasks": 1, "commit": made["commit"]}
    assert [c["found"] for c in shell.json("doctor")["checks"] if c["name"] == "listing index"] == [
        "stands at the ledger's head"
    ]
    with Exchange(Config(data_of(shell))) as exchange:
        exchange.follower.wait_for("")
        assert shell.problem("reindex") == (1, "busy")


def test_serve_answers_expires_leases_and_stops_in_order(shell: Shell) -> None:
    """`serve` prints its address, answers there, delivers webhooks where it may, and ends with 0 on SIGTERM."""
    key = shell.json("actor", "add", "bob", "--type", "agent")["key"]
    shell.json("policy", "set", "lease_seconds=10")
    base = "https://tasks.example.org/x"
    words = ("serve", "--port", "0", "--json", "--workers", "4", "--base-url", base)
    process = shell.started(*words, TASKREPO_WEBHOOKS_ALLOW="10.0.0.0/8, 127.0.0.0/8")
    try:
        assert process.stdout is not None
        url = ""
        while not url.endswith("}\n"):
            url += process.stdout.readline().decode()
        remote = Shell({"TASKREPO_URL": json.loads(url)["url"], "TASKREPO_KEY": key})
        assert remote.json("me")["actor"]["id"] == "bob"
        assert urllib3.request("GET", json.loads(url)["url"] + "/api/v1/me", retries=False).status == 401
        described = urllib3.request("GET", json.loads(url)["url"] + "/api/v1/openapi.json", retries=False)
        assert described.json()["servers"] == [{"url": base}]
        with receiving() as receiver:
            hook = remote.json("webhook", "add", receiver.url)["webhook"]["id"]
            remote.json("webhook", "test", hook)
            until(lambda: receiver.came)
            assert receiver.came[0].json["source"] == f"{base}/api/v1/events"
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b""), err


def test_serve_refuses_what_it_cannot_do(shell: Shell) -> None:
    """A port it cannot have, an unknown server, no workers and an address that is none are refused in a sentence."""
    assert shell.problem("serve", "--port", "99999") == (2, "cannot-listen")
    assert shell.problem("serve", "--server", "apache") == (2, "unknown-server")
    assert shell.problem("serve", "--port", "0", "--workers", "0") == (2, "too-few-workers")
    assert shell.problem("serve", "--port", "0", "--webhooks-allow", "here") == (2, "bad-network")
    assert shell.problem("serve", "--port", "0", "--trusted-proxy", "nginx") == (2, "bad-network")
    assert shell.problem("serve", "--port", "0", "--rate", "writes=lots") == (2, "bad-rate")
    assert shell.problem("serve", "--port", "0", "--grace", "nan") == (2, "usage")
    for base in ("tasks.example.org", "ftp://x", "https://", "https://me:secret@x", "https://x?y"):
        assert shell.problem("serve", "--port", "0", "--base-url", base) == (2, "usage")


def test_help_names_every_command_with_an_example(shell: Shell) -> None:
    """The help lists all commands by group; each has its own, with an example that parses."""
    listed = shell("--help")
    assert listed.code == 0 and shell().out == listed.out
    for name, verb in VERBS.items():
        assert re.search(rf"^  {name} +{re.escape(verb.help)}$", listed.out, re.MULTILINE)
        told = shell(*name.split(), "--help")
        assert told.code == 0 and f"example: {verb.example}" in told.out
        assert parse(shlex.split(verb.example)[1:]).verb == name
    assert shell("--version").out.startswith("taskrepo ")
    assert "actor suspend" in shell("actor", "--help").out
