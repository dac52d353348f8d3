"""The commands about webhooks: what a person typed becomes a call of a server, and its answer something to read.

* No rule is here; and without a server nobody delivers, so these commands need one.
* A secret is shown once, when it is made.

>>> listing(parsed("webhook list"), desk).data["webhooks"][0]["state"]                  # doctest: +SKIP
'active'
"""

from argparse import Namespace
from typing import Final

from taskrepo.client import Client
from taskrepo.desk import Desk, Json
from taskrepo.errors import Invalid, Refused
from taskrepo.terminal import Answer, Table

_FIELDS: Final = {"address": "url", "filter": "filter", "description": "description", "active": "active"}


def add(args: Namespace, desk: Desk) -> Answer:
    """Have events sent to an address."""
    made = _server(desk).call("POST", "/webhooks", _given(args))
    return Answer(made, (_told(made["webhook"]), _secret(made)))


def listing(args: Namespace, desk: Desk) -> Answer:
    """The caller's webhooks."""
    return _listed(_server(desk).call("GET", "/webhooks"))


def show(args: Namespace, desk: Desk) -> Answer:
    """One of them."""
    return _answered(_server(desk).call("GET", _path(args, desk)))


def change(args: Namespace, desk: Desk) -> Answer:
    """Change what the arguments name."""
    body = _given(args)
    if not body:
        raise Invalid("usage", "", "says nothing to change; `taskrepo webhook change --help` lists what can be")
    return _answered(_server(desk).call("PATCH", _path(args, desk), body))


def remove(args: Namespace, desk: Desk) -> Answer:
    """End one."""
    return _listed(_server(desk).call("DELETE", _path(args, desk)))


def deliveries(args: Namespace, desk: Desk) -> Answer:
    """What became of the latest messages."""
    found = _server(desk).call("GET", f"{_path(args, desk)}/deliveries?limit={args.limit}")
    rows = [
        (d["at"], d["event"][:12], d["type"] or "", d["subject"] or "", str(d["attempt"]), _result(d))
        for d in found["deliveries"]
    ]
    columns = ("at", "event", "type", "about", "attempt", "result")
    return Answer(found, (Table(columns, rows, "Nothing has been sent yet."),))


def replay(args: Namespace, desk: Desk) -> Answer:
    """Send events once more."""
    body = {name: value for name in ("after", "event") if (value := getattr(args, name)) is not None}
    if len(body) != 1:
        raise Invalid("usage", "", "say either --after COMMIT or --event COMMIT")
    answer = _server(desk).call("POST", f"{_path(args, desk)}/replay", body)
    return Answer(answer, ("It will be sent; `taskrepo webhook deliveries` shows what comes of it.",))


def test(args: Namespace, desk: Desk) -> Answer:
    """Send a ping."""
    answer = _server(desk).call("POST", f"{_path(args, desk)}/test", {})
    return Answer(answer, ("A ping will be sent; `taskrepo webhook deliveries` shows what comes of it.",))


def rotate(args: Namespace, desk: Desk) -> Answer:
    """Make a new secret."""
    made = _server(desk).call("POST", f"{_path(args, desk)}/secret", {})
    until = f"Until {made['webhook']['old_secret_until']} messages carry the old secret's signature as well."
    return Answer(made, (_secret(made), until))


def _server(desk: Desk) -> Client:
    if not isinstance(desk, Client):
        raise Invalid("usage", "--data", "does not go with webhooks: give them at a server, with --url and --key")
    return desk


def _path(args: Namespace, desk: Desk) -> str:
    """The address of the one webhook that was meant. Raises `Refused("unknown-webhook" | "ambiguous-id")`."""
    known = [hook["id"] for hook in _server(desk).call("GET", "/webhooks")["webhooks"]]
    found = [ident for ident in known if ident.startswith(args.hook)]
    if not found:
        raise Refused("unknown-webhook", f"you have no webhook {args.hook[:40]!r}; `taskrepo webhook list` shows them")
    if len(found) > 1:
        raise Refused("ambiguous-id", f"{args.hook[:40]!r} may be {', '.join(found)}")
    return f"/webhooks/{found[0]}"


def _given(args: Namespace) -> Json:
    return {field: value for name, field in _FIELDS.items() if (value := getattr(args, name, None)) is not None}


def _listed(found: Json) -> Answer:
    rows = [(h["id"], h["state"], h["url"], h["filter"], h["description"]) for h in found["webhooks"]]
    empty = "There are none; `taskrepo webhook add ADDRESS` makes one."
    return Answer(found, (Table(("id", "state", "address", "filter", "description"), rows, empty),))


def _answered(answer: Json) -> Answer:
    hook = answer["webhook"]
    parts = [_told(hook)]
    if hook["reason"]:
        parts.append(hook["reason"])
    if hook["failures"]:
        parts.append(f"{hook['failures']} attempts failed since {hook['failing_since']}; the next: {hook['retry_at']}.")
    if hook["last_event"]:
        parts.append(f"The last event delivered: {hook['last_event']} at {hook['last_event_at']}.")
    return Answer(answer, tuple(parts))


def _told(hook: Json) -> str:
    wanted = hook["filter"] or "every event"
    return f"{hook['id']} ({hook['state']}) sends {wanted} to {hook['url']}"


def _secret(made: Json) -> str:
    return f"Secret (shown this once): {made['secret']}"


def _result(attempt: Json) -> str:
    words = str(attempt["status"] or attempt["error"] or "no answer")
    return words if attempt["delivered"] else f"failed: {words}"
