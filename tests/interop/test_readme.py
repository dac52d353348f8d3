"""The README's tour works when it is pasted."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
TASKREPO = Path(sys.executable).with_name("taskrepo")
ADDRESS = "http://127.0.0.1:8753"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that looks like a checkout with its exchange served; yields it and the address."""
    shutil.copytree(ROOT / "data" / "examples", tmp_path / "data" / "examples")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    subprocess.run([str(TASKREPO), "init"], cwd=tmp_path, check=True, capture_output=True, env=_environment())
    server = subprocess.Popen(
        [str(TASKREPO), "serve", "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        assert server.stdout is not None
        found = re.search(r"http://[^\s/]+", server.stdout.readline())
        assert found
        yield tmp_path, found[0]
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0


def test_the_tour_can_be_pasted(checkout: tuple[Path, str]) -> None:
    """Every line of the tour succeeds as written, and the ledger it leaves is sound."""
    folder, address = checkout
    told = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", _tour().replace(ADDRESS, address)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=_environment(),
    )
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    assert "Earth is the densest planet" in told.stdout
    assert re.search(r"Alice: archive [0-9a-z]{8}: Summarise the planets' table", told.stdout)
    assert "as the rules make them" in told.stdout


def test_every_module_is_in_the_readmes_table() -> None:
    """The table of modules names all that there are, and no other."""
    table = (ROOT / "README.md").read_text().partition("| layer | modules |")[2].partition("\n\n")[0]
    named = {word for cell in re.findall(r"`([^`]+)`", table) for word in cell.split()}
    modules = {path.stem for path in (ROOT / "taskrepo").glob("*.py")} - {"__init__"}
    assert modules - named == set()


def test_every_dependency_has_its_line() -> None:
    """Each package that pyproject asks for is said to be for something."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "README.md").read_text().partition("## Dependencies")[2].lower()
    for wanted in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        name = re.split(r"[><=\[]", wanted)[0].strip().lower()
        assert name.removeprefix("pytest-").split(".clib")[0] in text, name


def _tour() -> str:
    block = re.search(r"<!-- tour -->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    return block[1]


def _environment() -> dict[str, str]:
    """Without what a developer's shell may have set."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TASKREPO_")}
