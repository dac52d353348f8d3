"""Help: open to everybody, true to the API that is served, and without a link that leads nowhere."""

import html
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.destinations import networks
from taskrepo.dispatch import headers, secret_of
from taskrepo.errors import REFUSALS
from taskrepo.outbound import Outbound
from taskrepo.web import helppages, openapi, reference
from tests.support.http import Site, running
from tests.support.person import Page, Person
from tests.support.waiting import PATIENCE, until


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange, served."""
    with running(tmp_path_factory.mktemp("help")) as running_site:
        yield running_site


def read(site: Site, path: str) -> Page:
    """The page, for somebody who is not signed in."""
    page = Person(site.url).get(path)
    assert page.status == 200
    return page


@pytest.mark.parametrize("path", [path for _, path, _ in helppages.ROUTES])
def test_everybody_can_read_every_page(site: Site, path: str) -> None:
    """Each page of help has one heading, marks itself in the list of topics, and links only to what there is."""
    page = read(site, path)
    assert sum(tag == "h1" for tag, _ in page.elements) == 1
    marked = [known["href"] for tag, known in page.elements if tag == "a" and known.get("aria-current") == "page"]
    assert path in marked
    ids = {known["id"] for _, known in page.elements if "id" in known}
    somebody = Person(site.url).enter(site.exchange, "admin")
    for target in {known["href"] for tag, known in page.elements if tag == "a"}:
        if target.startswith("#"):
            assert target[1:] in ids, target
        else:
            assert somebody.get(target).status == 200 or target == "/api/v1/openapi.json", target


def test_the_reference_has_every_call_and_shape(site: Site) -> None:
    """Each operation of the document is there with its method, path, fields and answer, and each shape by name."""
    page, source = read(site, "/help/api"), openapi.document()
    ids = {known["id"] for _, known in page.elements if "id" in known}
    shown = {(call.method.lower(), call.path) for group in reference.groups() for call in group.operations}
    assert shown == {(method, path) for path, calls in source["paths"].items() for method in calls}
    assert {call["operationId"] for calls in source["paths"].values() for call in calls.values()} <= ids
    assert {f"shape-{shape.name}" for shape in reference.shapes()} <= ids
    progress = next(c for g in reference.groups() for c in g.operations if c.path.endswith("/progress"))
    assert {entry.name for entry in progress.body} >= {"execution", "percent", "note"}
    assert [entry.name for entry in progress.body if entry.required] == ["execution"]
    assert progress.answers[0][2].shape == "CommandAnswer"


@pytest.mark.parametrize(("schema", "words", "shape"), [
    ({"type": "string", "maxLength": 80}, "text, up to 80 characters", ""),
    ({"type": "integer", "minimum": 0, "maximum": 100}, "whole number, 0 to 100", ""),
    ({"type": "integer", "minimum": 1}, "whole number, at least 1", ""),
    ({"enum": ["a", "b", None]}, "a | b | null", ""),
    ({"const": 5}, "5", ""),
    ({}, "anything", ""),
    ({"type": ["array", "null"], "items": {"type": "boolean"}}, "list of true or false or null", ""),
    ({"type": "object", "additionalProperties": {"$ref": "#/components/schemas/File"}}, "object of File", "File"),
    ({"anyOf": [{"$ref": "#/components/schemas/Lease"}, {"type": "null"}]}, "Lease or null", "Lease"),
])  # fmt: skip
def test_kinds_in_words(schema: dict[str, object], words: str, shape: str) -> None:
    """What a schema allows is said as a person would."""
    assert reference.kind(schema) == reference.Kind(words, shape)


def test_every_refusal_is_explained(site: Site) -> None:
    """Each code stands there with its HTTP status and meaning."""
    source = read(site, "/help/errors").html
    for code, meaning in REFUSALS.items():
        row = re.search(rf'<tr id="{code}">.*?</tr>', source)
        assert row, code
        assert html.escape(meaning, quote=False).replace("'", "&#039;") in row[0]


def test_the_receiver_works_when_it_is_pasted(tmp_path: Path) -> None:
    """The example takes what is signed with its secret, once, and refuses what is not."""
    with running(tmp_path) as own:
        source = re.search(r'<pre id="receiver">(.*?)</pre>', Person(own.url).get("/help/webhooks").html, re.DOTALL)
        assert source
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        secret = secret_of(b"k" * 32)
        code = html.unescape(source[1]).replace("whsec_…", secret).replace('("", 8000)', f'("127.0.0.1", {port})')
        body = b'{"type": "taskrepo.ping", "subject": "x"}'
        quiet: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([sys.executable, "-c", code], **quiet) as program:
            try:
                def sent(*secrets: str) -> int | None:
                    outbound = Outbound(networks(["127.0.0.0/8"]), seconds=PATIENCE)
                    signed = headers("m1", int(time.time()), body, secrets)
                    return outbound.post(f"http://127.0.0.1:{port}/", body, signed).status

                until(lambda: sent(secret_of(b"x" * 32)) == 401)
                assert [sent(secret), sent(secret_of(b"y" * 32), secret)] == [204, 204]
            finally:
                program.kill()
            assert program.stdout and program.stdout.read() == b"taskrepo.ping x\n"


def test_limits_are_those_of_the_policy(site: Site) -> None:
    """The page of files tells the limits in force."""
    policy = site.exchange.directory.policy
    text = read(site, "/help/files").text
    assert "2 GiB" in text and f"8 GiB, and {policy.max_files:,} files in one package or submission" in text
    assert " ".join(policy.denied_suffixes) in text
