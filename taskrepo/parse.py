"""JSON bodies → commands: the one place where what a client sent becomes a command.

* Shape first (the schema), then values; the first problem is raised as `Invalid` with the field's path.
* Carriage returns of web forms become plain newlines; nothing else is altered.

>>> task_command("release", "4k7q2m9x", {"execution": 1, "reason": "no time"})
Release(task='4k7q2m9x', execution=1, reason='no time')
"""

from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from taskrepo import plain
from taskrepo.commands import (
    TASK_COMMANDS,
    AddActor,
    AddKey,
    ChangeActor,
    Command,
    RenameKey,
    RetireKey,
    Revise,
    Submit,
)
from taskrepo.documents import dump_json
from taskrepo.errors import Invalid, Refused
from taskrepo.model import File, Manifest, Policy
from taskrepo.results import check_manifest
from taskrepo.schema import validate
from taskrepo.signing import parse_public_key

_ELSEWHERE: Final = "create"  # makes its own id, and so has an address of its own
_SOURCE: Final = ("source_name", "source_url", "source_context")


def manifest(data: object, where: str = "manifest") -> Manifest:
    """The manifest in plain data. Raises `Invalid`."""
    clean = _plain_newlines(data)
    validate("manifest", clean, where)
    made = plain.manifest_from(clean, where)
    check_manifest(made, where)
    return made


def ingest(body: object) -> tuple[Manifest, ...]:
    """The manifests in a piece of context, as `POST /ingest` takes it, each with an `external_id`.

    A task without one gets a digest of all that it says, its source included: the same task from the same context is
    the same wherever it stands in the call, and one from a context that has changed is another. Raises `Invalid`.
    """
    clean = _plain_newlines(body)
    validate("commands/ingest", clean, "")
    shared = {name: clean[name] for name in _SOURCE if clean.get(name)}
    return tuple(
        _ingested({**shared, **_given(item), "origin": clean["origin"]}, f"tasks[{number}]")
        for number, item in enumerate(clean["tasks"])
    )


def _given(item: dict[str, Any]) -> dict[str, Any]:
    """A task of a context, described by its title if by nothing else; an empty source is none."""
    said = {name: value for name, value in item.items() if name not in _SOURCE or value != ""}
    title = item.get("title")
    return {"description": title if isinstance(title, str) else "-", **said}


def _ingested(data: dict[str, Any], where: str) -> Manifest:
    made = manifest(data, where)
    digest = sha256(dump_json(plain.manifest_to(made))).hexdigest()
    return made if made.external_id else replace(made, external_id=f"context:{digest[:40]}")


def task_command(name: str, task: str, body: object, files: tuple[File, ...] = ()) -> Command:
    """The command `name` on `task`, from its JSON body and the files that came with it.

    Raises `Refused("not-found")` for an unknown name and `Invalid` for a body that does not fit.
    """
    kind = TASK_COMMANDS.get(name)
    if kind is None or name == _ELSEWHERE:
        raise Refused("not-found", f"{name[:40]} is not a command that can be given here")
    clean = _plain_newlines(body)
    validate(f"commands/{name}", clean, name)
    assert isinstance(clean, dict)
    clean.pop("uploads", None)  # whoever took the body in has made files of them
    if kind is Revise:
        return _revise(task, clean, files)
    if kind is Submit:
        clean.pop("result", None)  # its bytes are among the files
    if files:
        clean["files"] = _with_files(kind, name, files)
    return kind(task, **clean)


def result_json(body: object) -> bytes | None:
    """The bytes of `result.json` that a submit body carries as `result`, if it does."""
    if isinstance(body, dict) and "result" in body:
        return dump_json(body["result"])
    return None


def add_actor(body: object) -> AddActor:
    """The command in the body of `POST /actors`. Raises `Invalid`."""
    validate("commands/add-actor", body, "actor")
    assert isinstance(body, dict)
    capabilities = plain.capabilities_from(body.get("capabilities", {}))
    return AddActor(body["id"], body["type"], _line(body.get("name", "")), capabilities, tuple(body.get("grants", ())))


def change_actor(actor: str, body: object) -> ChangeActor:
    """The command that changes an actor; what the body leaves out stays. Raises `Invalid`."""
    validate("commands/change-actor", body, "actor")
    assert isinstance(body, dict)
    return ChangeActor(
        actor,
        _line(body["name"]) if "name" in body else None,
        plain.capabilities_from(body["capabilities"]) if "capabilities" in body else None,
        tuple(body["grants"]) if "grants" in body else None,
        body.get("active"),
    )


def add_key(actor: str, body: object) -> AddKey:
    """The command that registers a public key. Raises `Invalid`."""
    validate("commands/add-key", body, "key")
    assert isinstance(body, dict)
    line, fingerprint = parse_public_key(body["key"])
    return AddKey(actor, _key_name(body["name"]), line, fingerprint)


def retire_key(actor: str, body: object) -> RetireKey:
    """The command that retires a public key. Raises `Invalid`."""
    validate("commands/retire-key", body, "key")
    assert isinstance(body, dict)
    return RetireKey(actor, body["fingerprint"])


def rename_key(actor: str, fingerprint: str, body: object) -> RenameKey:
    """The command that gives a public key another name. Raises `Invalid`."""
    validate("commands/rename-key", body, "key")
    assert isinstance(body, dict)
    return RenameKey(actor, fingerprint, _key_name(body["name"]))


def _key_name(text: str) -> str:
    if not _line(text):
        raise Invalid("invalid-field", "key.name", "is blank; say what the key is on, as laptop")
    return _line(text)


def changed_policy(policy: Policy, body: object) -> Policy:
    """The policy with what the body says. Raises `Invalid`."""
    validate("commands/set-policy", body, "policy")
    assert isinstance(body, dict)
    data: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in body.items()}
    return replace(policy, **data)


def _revise(task: str, body: dict[str, Any], files: tuple[File, ...]) -> Revise:
    given = manifest(body["manifest"]) if "manifest" in body else None
    return Revise(task, given, files, tuple(body.get("drop", ())))


def _with_files(kind: type[Command], name: str, files: tuple[File, ...]) -> tuple[File, ...]:
    if "files" not in kind.__dataclass_fields__:
        raise Invalid("unexpected-files", name, "takes no files")
    return files


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain_newlines(data: object) -> Any:
    if isinstance(data, str):
        return data.replace("\r\n", "\n")
    if isinstance(data, dict):
        return {
            key: _plain_newlines(value) if value and type(value) in _MAY_HAVE else value for key, value in data.items()
        }
    if isinstance(data, list):
        return [_plain_newlines(item) if item and type(item) in _MAY_HAVE else item for item in data]
    return data


_MAY_HAVE: Final = frozenset({str, dict, list})  # asked before each call: a body may hold half a million numbers
