"""What the API's description says of webhooks.

* The calls are as `openapi.Call` takes them, by method and path; `openapi` puts them among the others.

>>> WEBHOOK_CALLS["get", "/webhooks"]["answers"]
'WebhookList'
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

_ONE: Final = "/webhooks/{webhook}"
WEBHOOK_CALLS: Final[Mapping[tuple[str, str], Json]] = {
    ("get", "/webhooks"): {"summary": "The caller's webhooks", "answers": "WebhookList"},
    ("post", "/webhooks"): {
        "summary": "Have events sent to an address", "answers": "NewWebhook", "status": 201, "body": "WebhookBody",
        "told": (
            "Each event that the caller may know of, and that the filter wants, is sent there from now on: one POST "
            "for each, in the ledger's order, at least once, as a CloudEvent signed as Standard Webhooks has it. "
            "`secret` is shown this once. What is sent stands under Webhooks in the exchange's help."),
    },
    ("get", _ONE): {"summary": "One of the caller's webhooks", "answers": "WebhookAnswer"},
    ("patch", _ONE): {
        "summary": "Change a webhook", "answers": "WebhookAnswer", "body": "WebhookChange",
        "told": "`active: true` also brings one back that the exchange has disabled; it goes on where it was.",
    },
    ("delete", _ONE): {"summary": "End a webhook", "answers": "WebhookList"},
    ("get", f"{_ONE}/deliveries"): {
        "summary": "The latest deliveries, newest first", "answers": "DeliveryList", "query": ("limit",),
    },
    ("post", f"{_ONE}/replay"): {
        "summary": "Send events again", "answers": "WebhookAnswer", "status": 202, "body": "ReplayBody",
        "told": (
            "`after`: everything that follows this commit, in order, sent before or not; after the newest commit, what "
            "was not sent yet is skipped. `event`: this one alone, once, out of turn."),
    },
    ("post", f"{_ONE}/test"): {
        "summary": "Send a ping", "answers": "WebhookAnswer", "status": 202,
        "told": "It is sent once, also to a webhook that is paused or disabled; its deliveries show what came of it.",
    },
    ("post", f"{_ONE}/secret"): {
        "summary": "Make a new secret", "answers": "NewWebhook",
        "told": (
            "It is shown this once. For a day messages carry two signatures, with the new secret and with the old "
            "one."),
    },
}  # fmt: skip
_WEBHOOK: Final[Json] = {
    "url": {"type": "string", "maxLength": 2000, "pattern": "^https?://[!-~]+$", "description": (
        "An http or https address of the public internet.")},
    "filter": {"type": "string", "maxLength": 500, "description": (
        "Which events, as in `event:submitted,approved reviewer:me`; every one if it is empty.")},
    "description": {"type": "string", "maxLength": 200, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"},
    "active": {"type": "boolean"},
}  # fmt: skip
WEBHOOK_BODIES: Final[Mapping[str, Json]] = {
    "WebhookBody": {
        "type": "object", "required": ["url"], "properties": _WEBHOOK, "additionalProperties": False,
    },
    "WebhookChange": {"type": "object", "properties": _WEBHOOK, "additionalProperties": False},
    "ReplayBody": {
        "type": "object",
        "properties": {name: {"type": "string", "pattern": "^[0-9a-f]{40}$"} for name in ("after", "event")},
        "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
    },
}  # fmt: skip
