"""What the API's description says follows from what: the calls that take the id which another call has just given.

* Whoever makes a thing, a task, an actor or a webhook, is told every call about one.

>>> links("/webhooks", [("get", "/webhooks/{webhook}")], "-".join)["get-/webhooks/{webhook}"]["parameters"]
{'webhook': '$response.body#/webhook/id'}
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Json = dict[str, Any]

_MADE: Final[Mapping[str, str]] = {"/tasks": "task", "/actors": "actor", "/webhooks": "webhook"}
"""Where a thing is made, and what the parameter and the member of the answer are called that have its id."""
_FIRST: Final = ("number", "old", "new")


def links(path: str, calls: Iterable[tuple[str, str]], name: Callable[[tuple[str, str]], str]) -> Json:
    """The links of the answer to a POST at `path`; `name` gives a call's operation id.

    Numbers are those of what a thing has first. What takes a further name (of a file, a key) is left out.
    """
    made, found = _MADE.get(path), {}
    for method, there in calls if made else ():
        needed = re.findall(r"\{([a-z0-9]+)\}", there)
        if made in needed and not set(needed) - {made, *_FIRST}:
            given = {made: f"$response.body#/{made}/id", **{each: "1" for each in needed if each in _FIRST}}
            operation = name((method, there))
            found[operation] = {"operationId": operation, "parameters": given}
    return found
