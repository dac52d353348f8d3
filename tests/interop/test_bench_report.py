"""`tools/bench all`: one report of what was measured, with plots, and with what could not be."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that writes it."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import bench_report  # type: ignore[import-not-found]

    return bench_report


def _told(**sections: Any) -> dict[str, Any]:
    told = {"date": "2026-11-30", "commit": "abc", "machine": "2 cores", "versions": {"git": "2"}, "failed": {}}
    return {**told, **sections}


def test_a_small_run_writes_a_whole_report(tmp_path: Path) -> None:
    """Figures of writing and keeping are measured, told in one page, drawn, and kept as JSON."""
    words = ["all", "--tasks", "16", "--transitions", "16", "--rounds", "1", "--without", "find", "beside"]
    line = [sys.executable, str(ROOT / "tools" / "bench.py"), *words, "--out", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "bench.json").read_text())
    assert {"date", "commit", "machine", "versions", "writes", "store"} <= data.keys() and data["failed"] == {}
    store = data["store"]["sizes"]["16"]
    assert store["packs"] == 1
    assert 0 < store["bytes a transition, rolled up"] < store["bytes a transition, as written"]
    page = (tmp_path / "README.md").read_text()
    assert "git commit -S" in page and "fast-import" in page and "](writes.svg)" in page
    ElementTree.parse(tmp_path / "writes.svg")


def test_what_failed_is_named(report: Any) -> None:
    """A benchmark that could not be run is in the page with its reason; nothing is said of what was left out."""
    page = report.page({**_told(), "failed": {"find": "no room"}})
    assert "`find` could not be measured:** no room" in page
    assert "##" not in page
    assert report.plots(_told()) == {}


def test_ratios_are_to_git_in_the_same_run(report: Any) -> None:
    """Each row of writing says how many times as many a second git itself made."""
    rows = [
        {"what": "git commit -S", "tasks": 0, "clients": 1, "rate": 50.0, "median": 20.0, "p95": 30.0, "p99": 31.0},
        {"what": "in process", "tasks": 1000, "clients": 32, "rate": 900.0, "median": 30.0, "p95": 60.0, "p99": 61.0},
    ]
    sizes = {"9": {"git fast-import, commits a second": 5000}}
    page = report.page(_told(writes={"rows": rows}, store={"sizes": sizes}))
    assert "| in process, 1,000 tasks, 32 clients | 900 | 30 | 60 | 61 | 18× |" in page
    assert "| `git fast-import` | 5,000 |  |  |  | 100× |" in page


def test_plots_are_to_scale_and_safe(report: Any) -> None:
    """Bars are as long as their numbers, and names are text, whatever stands in them."""
    drawn = ElementTree.fromstring(report.bars('<b>&"', [("a<b>", 100.0), ("c", 25.0)]))
    widths = [float(bar.attrib["width"]) for bar in drawn if bar.attrib.get("fill") == "#2563a8"]
    assert widths[0] == 4 * widths[1] > 0
    assert [text.text for text in drawn if text.text and "<" in text.text] == ['<b>&"', "a<b>"]
