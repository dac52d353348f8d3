"""The same ground for every test, on every machine.

* What a person has configured for git, ssh or taskrepo does not reach a test, nor do their keys and servers.
* The exchange's own patience with locks, indexes and other programs is as long as a test's, save where a test is of it.
* Random tests are repeatable: the same examples each time, and no deadline that a busy machine could miss.
* Under `tools/test` a test that would skip itself because a program is missing fails instead, and names the program.
"""

import os
import re
import shutil
import sys
from collections.abc import Generator
from math import inf
from typing import Final

import pytest
from hypothesis import settings

from tests.support.waiting import PATIENCE

PROGRAMS: Final = {
    "caddy": "caddy",
    "chromium": "chromium",
    "git": "git",
    "git-lfs": "git-lfs",
    "nginx": "nginx-light",
    "ssh-keygen": "openssh-client",
    "strace": "strace",
    "systemd-analyze": "systemd",
}
"""Program → the Debian package it comes in; `tools/test` installs them where it may."""

_PERSONAL: Final = re.compile("GIT_|SSH_AUTH_SOCK|SSH_ASKPASS|TASKREPO_(?!TEST)|PYTHONWARNINGS|NO_COLOR|FORCE_COLOR")
_OWN: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}

# When this file is read, not in a fixture: the modules of tests start programs while they are imported, too.
for _name in list(filter(_PERSONAL.match, os.environ)):
    del os.environ[_name]
os.environ.update(_OWN)

_PATIENT: Final = {
    "taskrepo.auditor": "_PATIENCE",
    "taskrepo.credentials_db": "BUSY_SECONDS",
    "taskrepo.accounts": "BUSY_SECONDS",
    "taskrepo.follower": "_PATIENCE",
    "taskrepo.indexing": "SILENCE",
    "taskrepo.logs": "_PATIENCE",
    "taskrepo.readiness": "_PATIENCE",
    "taskrepo.branchlock": "_PATIENCE",
    "taskrepo.tables": "BUSY_SECONDS",
    "taskrepo.trends": "PATIENCE",
    "taskrepo.upkeep": "_GIT_SECONDS",
    "taskrepo.web.packagedraft": "_PATIENCE",
}
"""Modules that wait for a few seconds, and the constants that say so."""


@pytest.fixture(scope="session", autouse=True)
def patient() -> None:
    """Nothing in the exchange gives up, or begins a process of its own, because the machine is busy."""
    for module, name in _PATIENT.items():
        if module in sys.modules:
            assert hasattr(sys.modules[module], name)
            setattr(sys.modules[module], name, PATIENCE)
    if (follower := sys.modules.get("taskrepo.follower")) is not None:
        follower._MUCH = inf  # type: ignore[attr-defined]  # a process keeps the index where a test wants that


settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("repeatable")


def missing_program(reason: str) -> str:
    """The missing program a reason to skip names, or ""."""
    words = set(re.findall(r"[a-z][a-z-]*", reason.lower()))
    return next((name for name in PROGRAMS if name in words and not shutil.which(name)), "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip for want of a program is a failure where everything is meant to run."""
    report = yield
    if report.skipped and os.environ.get("TASKREPO_TEST_COMPLETE") and isinstance(report.longrepr, tuple):
        name = missing_program(report.longrepr[2])
        if name:
            report.outcome = "failed"
            report.longrepr = f"this test needs {name}, which is missing (Debian: apt-get install {PROGRAMS[name]})"
    return report
