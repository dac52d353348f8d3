"""An outsider with a key, a clone and every object id learns nothing of a private task.

The outsider is an honest actor of the exchange (carol) with a key of her own. She asks every address of the API and
every page, by every method, for a private task that has lived a whole life; fetches over every version of git's
protocol, by ref and by object id; and reads the raw object store, which is more than any protocol gives.
"""

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo.history import object_id
from taskrepo.web import openapi, pages
from tests.support.http import Answer, Site, running
from tests.support.person import Person

WORD: Final = "xanthippe-of-athens"
SMALL: Final = f"{WORD} small content\n".encode() * 3
LARGE: Final = f"{WORD} large content;".encode() * 80_000
NAMES: Final = (f"{WORD}-in.txt", f"{WORD}-large.bin", f"{WORD}-out.csv", f"{WORD}-said.txt")


@dataclass(frozen=True)
class Scene:
    """A site with a private task that has been worked on, and everything that must not be seen."""

    site: Site
    task: str
    secrets: tuple[bytes, ...]


def _secrets() -> tuple[bytes, ...]:
    """The word and the contents' names in all forms they could leak in."""
    plain = [WORD.encode(), WORD.encode("utf-16-le"), WORD.encode().hex().encode()]
    plain += [_inner_base64(WORD.encode(), shift) for shift in range(3)]
    for data in (SMALL, LARGE):
        plain += [hashlib.sha256(data).hexdigest().encode(), hashlib.sha256(data).digest()]
        plain += [object_id("blob", data).encode(), bytes.fromhex(object_id("blob", data))]
    return tuple(plain)


def _inner_base64(word: bytes, shift: int) -> bytes:
    """The digits of base64 that the word alone decides when *shift* bytes stand before it.

    Over 20 digits: four of them would be met by chance in two megabytes of ciphertext.
    """
    digits = base64.b64encode(b"\x00" * shift + word + b"\x00" * 3)
    return digits[-(-8 * shift // 6) : 8 * (shift + len(word)) // 6]


def _leaks(data: bytes, secrets: tuple[bytes, ...]) -> list[bytes]:
    low = data.lower()
    return [secret for secret in secrets if secret in data or secret.lower() in low]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """alice publishes, bob works, and carol is nobody to the task; a public task beside it keeps the lists filled."""
    with running(tmp_path_factory.mktemp("outsider")) as site:
        site.task(title="A public task")
        manifest = {
            "title": f"{WORD} title", "description": f"{WORD} description", "visibility": "private", "readers": ["bob"],
            "labels": [WORD], "source_context": WORD, "external_id": WORD, "deliverables": [f"{WORD} deliverable"],
            "acceptance": [f"{WORD} criterion"],
        }  # fmt: skip
        fields = [("manifest", json.dumps(manifest)), (f"input/{NAMES[0]}", (NAMES[0], SMALL)),
                  (f"context/{NAMES[1]}", (NAMES[1], LARGE))]  # fmt: skip
        made = site.call("alice", "POST", "/tasks", fields=fields)
        assert made.status == 201, made.body
        task = made.json["task"]["id"]
        _live(site, task, {**manifest, "title": f"{WORD} again"})
        yield Scene(site, task, _secrets())


def _live(site: Site, task: str, manifest: dict[str, Any]) -> None:
    def done(actor: str, command: str, body: Any = None, **options: Any) -> None:
        answer = site.post(actor, f"/tasks/{task}/{command}", body, **options)
        assert answer.status in (200, 201), (command, answer.body)

    done("alice", "revise", {"manifest": manifest})
    done("bob", "claim", {})
    done("bob", "progress", {"execution": 1, "percent": 5, "note": WORD})
    done("bob", "comment", fields=[("text", WORD), ("file", (NAMES[3], SMALL))])
    done("bob", "ask", {"text": f"{WORD}?"})
    done("alice", "answer", {"text": f"{WORD}!"})
    done("bob", "submissions", fields=[
        ("execution", "1"), ("summary", WORD), ("result", json.dumps({WORD: WORD})),
        (f"artifacts/{NAMES[2]}", (NAMES[2], SMALL)), (f"artifacts/{NAMES[1]}", (NAMES[1], LARGE)),
    ])  # fmt: skip
    done("alice", "reject", {"reason": WORD})


def _calls(task: str) -> Iterator[tuple[str, str, Any]]:
    """Every operation the API describes, with the task's id and true paths in its address."""
    paths = [f"input/{NAMES[0]}", f"context/{NAMES[1]}", f"artifacts/{NAMES[2]}", NAMES[3], "result.json", "summary.md"]
    bodies = {"execution": 1, "text": "x", "reason": "x", "summary": "x", "percent": 1}
    for method, path in openapi.CALLS:
        if "{sha256}" in path:
            path = path.replace("{sha256}", hashlib.sha256(LARGE).hexdigest())
        for file in paths if "{path}" in path else [""]:
            filled = path.replace("{path}", file).replace("{task}", task)
            filled = re.sub(r"\{(number|old|new|entry|version)\}", "1", filled).replace("{actor}", "alice")
            name = path.rpartition("/")[2]
            yield method.upper(), filled, _body(name, bodies) if method in ("post", "put", "patch") else None


def _body(command: str, known: dict[str, Any]) -> Any:
    schema = openapi.document()["components"]["schemas"].get(f"{command.capitalize()}Body", {})
    return {name: known[name] for name in schema.get("required", ()) if name in known}


def test_no_answer_of_the_api_tells_anything(scene: Scene) -> None:
    """Every call, on the id, on its beginning and on lists, is free of every secret in head and body."""
    for task in (scene.task, scene.task[:5]):
        for method, path, body in _calls(task):
            if path in ("/keys", "/policy") and method != "GET":
                continue
            answer = scene.site.call("carol", method, path, body)
            told = repr(dict(answer.headers)).encode() + answer.body
            unsaid = tuple(s for s in scene.secrets if s not in path.encode())
            assert not _leaks(told, unsaid), (method, path, told[:300])


def test_the_task_answers_exactly_as_one_that_does_not_exist(scene: Scene) -> None:
    """Status, code, words and headers are those for an id nobody has, whatever is asked of it."""
    for method, path, body in _calls(scene.task):
        if scene.task not in path:
            continue
        for extra in ({}, {"If-Match": '"' + "0" * 40 + '"'}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}):
            real = scene.site.call("carol", method, path, body, headers=extra)
            none = scene.site.call("carol", method, path.replace(scene.task, "00000000"), body, headers=extra)
            assert _normal(real, scene.task) == _normal(none, "00000000"), (method, path, extra)
            assert real.status in (400, 404), (method, path)


def _normal(answer: Answer, task: str) -> tuple[int, bytes, dict[str, str]]:
    headers = {k.lower(): v for k, v in answer.headers.items() if k.lower() not in ("date", "x-request-id")}
    body = re.sub(rb"req-[0-9a-z]+", b"", answer.body.replace(task.encode(), b"ID"))
    headers.pop("content-length", None)
    return answer.status, body, headers


@pytest.mark.parametrize(
    "path",
    [
        "/tasks", f"/tasks?q={WORD}", f"/tasks?label={WORD}", "/tasks?publisher=alice&state=rejected",
        "/tasks?assignee=bob",
        "/tasks?q=state:rejected", "/tasks?sort=title", "/queue", "/events", "/events?limit=1", "/stats", "/actors/bob",
        "/actors/alice", "/me",
    ],
)  # fmt: skip
def test_no_list_count_or_feed_knows_it(scene: Scene, path: str) -> None:
    """What the outsider can list, count or follow has neither its id nor a number that counts it."""
    answer = scene.site.get("carol", path)
    assert answer.status == 200 and scene.task.encode() not in answer.body
    assert not _leaks(answer.body, tuple(s for s in scene.secrets if s not in path.encode()))
    if path.startswith("/tasks"):
        assert answer.json["total"] == sum(row["publisher"] == "alice" for row in answer.json["tasks"]) <= 1
    states = answer.json.get("counts") or answer.json.get("summary", {}).get("states", {})
    assert states.get("rejected", 0) == 0


def test_its_readers_see_it(scene: Scene) -> None:
    """The same addresses tell the task's people everything: the silence above is not for lack of asking right."""
    for actor in ("alice", "bob", "admin"):
        shown = scene.site.get(actor, f"/tasks/{scene.task}")
        assert shown.status == 200 and shown.body.count(WORD.encode()) > 10
        assert scene.site.get(actor, f"/tasks/{scene.task}/files/context/{NAMES[1]}").body == LARGE
        assert scene.site.get(actor, f"/tasks/{scene.task}/submissions/1/files/artifacts/{NAMES[2]}").body == SMALL
        assert scene.site.get(actor, f"/tasks/{scene.task}/discussion/1/files/{NAMES[3]}").body == SMALL
        assert scene.site.get(actor, f"/tasks?q={WORD}").json["total"] == 1


def test_no_page_tells_anything(scene: Scene) -> None:
    """Every page of the browser, with the task's addresses tried as well, is free of every secret."""
    person = Person(scene.site.url).enter(scene.site.exchange, "carol")
    addresses = {path for method, path, _ in pages.ROUTES if method == "GET"}
    tried = 0
    for address in sorted(addresses):
        filled = re.sub(r"<(id|task)>", scene.task, address)
        filled = re.sub(r"<(number|n|entry|old|new|version)[^>]*>", "1", filled)
        filled = re.sub(r"<path[^>]*>", f"input/{NAMES[0]}", re.sub(r"<actor[^>]*>", "alice", filled))
        page = person.get(filled)
        assert not _leaks(page.body, tuple(s for s in scene.secrets if s not in filled.encode())), filled
        tried += 1
    person.close()
    assert tried > 5


@pytest.mark.parametrize("version", [0, 1, 2])
def test_no_protocol_of_git_gives_a_byte(scene: Scene, tmp_path: Path, version: int) -> None:
    """A clone, and a fetch of every object by its id, bring nothing readable, over each version of the protocol."""
    repository = scene.site.exchange.config.repository
    git = ["git", "-c", f"protocol.version={version}"]
    clone = tmp_path / "clone"
    subprocess.run([*git, "clone", "-q", "--mirror", f"file://{repository}", clone], check=True)
    assert not _leaks(_everything(clone), scene.secrets)
    listed = subprocess.run(
        ["git", "-C", repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
        capture_output=True, check=True,
    )  # fmt: skip
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", "--bare", other], check=True)
    wanted = listed.stdout.decode().split()
    # The outsider's best case: a server that gives any object to whoever knows its id.
    serve = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"
    for start in range(0, len(wanted), 200):
        subprocess.run(
            [*git, "-C", other, "fetch", "-q", "--no-tags", f"--upload-pack={serve}", f"file://{repository}",
             *wanted[start : start + 200]],
            capture_output=True, check=False,
        )  # fmt: skip
    assert not _leaks(_everything(other), scene.secrets)


def test_the_raw_store_has_no_byte(scene: Scene) -> None:
    """Every object, reachable or not, every file of the repository and every large file is free of every secret."""
    config = scene.site.exchange.config
    assert not _leaks(_everything(config.repository), scene.secrets)
    for folder in (config.repository, config.lfs):
        for path in folder.rglob("*"):
            assert not _leaks(str(path.relative_to(folder)).encode(), scene.secrets), path
            if path.is_file():
                assert not _leaks(path.read_bytes(), scene.secrets), path
    assert any(path.is_file() for path in config.lfs.rglob("*")), "the large file is there, encrypted"


def _everything(repository: Path) -> bytes:
    """Every object of a repository, inflated."""
    done = subprocess.run(
        ["git", "-C", repository, "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=True
    )
    return done.stdout


def test_nothing_of_it_waits_in_staging(scene: Scene) -> None:
    """Once the commands are through, no plain copy is left in the folder of uploads."""
    left = [path for path in scene.site.exchange.config.staging.rglob("*") if path.is_file()]
    assert left == []
