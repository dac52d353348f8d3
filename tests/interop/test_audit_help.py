"""An auditor who types what the help page and the ledger's own README say gets what they say."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.exchange import Exchange
from taskrepo.model import Manifest
from tests.support.clones import Clone
from tests.support.http import Site, running
from tests.support.person import Person

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange, served, with a task that was claimed by a signed push and a step that was attested."""
    with running(tmp_path_factory.mktemp("audit")) as site:
        worked(site.exchange, tmp_path_factory.mktemp("clones"))
        yield site


def worked(exchange: Exchange, folder: Path) -> None:
    """Some history, of both kinds."""
    task = exchange.create(Manifest("Count rows", "d"), (), "alice", via="api").task.id
    bob = Clone.of(exchange, "bob", folder)
    assert bob.ask(f"claim {task}").ask(f"submit {task}: 3 rows").push().code == 0
    exchange.create(Manifest("Another", "d"), (), "alice", via="api")


def typed(lines: str, where: Path) -> str:
    """What comes of typing some lines in a shell, all of which must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(where), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", lines], cwd=where, capture_output=True, text=True,
                          env=environment, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_every_line_of_the_help_page_works(site: Site, tmp_path: Path) -> None:
    """In one shell, from the clone to the export's check; each line is typed as it stands there, but the password."""
    page = Person(site.url).get("/help/audit").html
    lines = "\n".join(html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL))
    assert f"git clone {site.url}/git/exchange.git ledger" in lines
    # The password is put where nobody has to type it.
    told = typed(lines.replace("git clone http://", f"git clone http://me:{site.keys['carol']}@"), tmp_path)
    for expected in (
        "Bob: claim", 'Good "git" signature for exchange@taskrepo.invalid', "are as the rules make them",
        "2 are self-signed", "each as this history has it, up to the newest",
    ):  # fmt: skip
        assert expected in told, told
    assert (tmp_path / "history.jsonl").exists()
    assert json.loads((tmp_path / "verdict.json").read_bytes())["judged"] == 0


def test_what_the_page_says_it_answers_is_what_it_answers(site: Site, tmp_path: Path) -> None:
    """The sample's sentences, but for their numbers, ids and hashes."""
    page = Person(site.url).get("/help/audit").html
    sample = re.search(r'<pre class="said"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert sample
    told = typed(f"git clone -q {site.exchange.config.repository} ledger && taskrepo verify ledger", tmp_path)
    for sentence in html.unescape(sample[1]).splitlines():
        parts = re.split(r"[0-9a-f]{8}…|[0-9][0-9.,]*|\S{10,}…", sentence)
        assert re.search(r"\S+".join(map(re.escape, parts)), told), sentence


def test_every_line_of_the_ledgers_readme_works(site: Site, tmp_path: Path) -> None:
    """Those for reading and auditing; the README is the one the exchange was founded with."""
    typed(f"git clone -q {site.exchange.config.repository} ledger", tmp_path)
    readme = (tmp_path / "ledger" / "README.md").read_text()
    assert readme == (ROOT / "schema" / "ledger-readme.md").read_text()
    sections = readme.partition("\n## ")[0], readme.partition("\n## Audit\n")[2].partition("\n## ")[0]
    blocks = [block for section in sections for block in re.findall(r"```\n(.*?)```", section, re.DOTALL)]
    task = next(site.exchange.snapshot().ids())
    lines = "\n".join(blocks).replace("tasks/4/k/7/4k7q2m9x", f"tasks/{'/'.join(task[:3])}/{task}")
    told = typed(f"cd ledger\n{lines}", tmp_path)
    assert "are as the rules make them" in told and f"create {task}" in told
    assert (tmp_path / "history.csv").read_text().startswith("position,commit,at,actor")
