"""The commands about webhooks, as data.

* Each is given at a server, about the caller's own webhooks.
* A webhook may be named by the beginning of its id.

>>> [verb.name for verb in WEBHOOK_VERBS][:2]
['webhook add', 'webhook list']
"""

from typing import Final

from taskrepo.verb import Verb, arg

_HOOKS: Final = "Hear of events"
_HOOK: Final = arg("hook", metavar="WEBHOOK", help="its id, or the first characters of it")
_WANTED: Final = (
    arg("--filter", metavar="TEXT", help="which events, like 'event:submitted reviewer:me' (default: every one)"),
    arg("--description", metavar="TEXT", help="what it is for"),
)

WEBHOOK_VERBS: Final = (
    Verb("webhook add", _HOOKS, "have events sent to an address",
         "taskrepo webhook add https://example.org/hook --filter event:submitted", "subscribing:add", (
        arg("address", metavar="ADDRESS", help="where to, as http or https"), *_WANTED,
    ), notes="""\
Every event that you may know of and that the filter wants is sent there with POST, in order, until it
is answered with 2xx. The secret that is shown once signs each message, as Standard Webhooks has it."""),
    Verb("webhook list", _HOOKS, "list your webhooks", "taskrepo webhook list", "subscribing:listing"),
    Verb("webhook show", _HOOKS, "show one of them", "taskrepo webhook show 4k7q", "subscribing:show", (_HOOK,)),
    Verb("webhook change", _HOOKS, "change, pause or resume one", "taskrepo webhook change 4k7q --resume",
         "subscribing:change", (
        _HOOK,
        arg("--address", metavar="ADDRESS", help="where to"),
        *_WANTED,
        arg("--pause", action="store_false", dest="active", default=None, help="send nothing for now"),
        arg("--resume", action="store_true", dest="active", default=None, help="go on where it stopped"),
    )),
    Verb("webhook remove", _HOOKS, "end one, with its log", "taskrepo webhook remove 4k7q", "subscribing:remove",
         (_HOOK,)),
    Verb("webhook deliveries", _HOOKS, "show what became of the latest messages", "taskrepo webhook deliveries 4k7q",
         "subscribing:deliveries", (
        _HOOK,
        arg("--limit", type=int, default=20, metavar="N", help="how many (default: 20; at most 100)"),
    )),
    Verb("webhook replay", _HOOKS, "send events once more", "taskrepo webhook replay 4k7q --after COMMIT",
         "subscribing:replay", (
        _HOOK,
        arg("--after", metavar="COMMIT", help="everything that follows this commit, in order"),
        arg("--event", metavar="COMMIT", help="this event alone, out of turn"),
    )),
    Verb("webhook test", _HOOKS, "send a ping", "taskrepo webhook test 4k7q", "subscribing:test", (_HOOK,)),
    Verb("webhook rotate", _HOOKS, "make a new secret; the old one counts for a day more",
         "taskrepo webhook rotate 4k7q", "subscribing:rotate", (_HOOK,)),
)  # fmt: skip
