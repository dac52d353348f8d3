"""What the API's description says of forms: the fields of a body as text, and files beside them.

* A field that is no text in JSON (a manifest, a result, a list) comes as a text that holds it.
* A part is a file if it has a filename or a slash in its name; only the slash can be said in a schema.

>>> form("AnswerBody", {"required": ["text"], "properties": {"text": {"type": "string"}}})["required"]
['text']
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

_ATTACHED: Final = (
    "The same fields as text; every other part is a file, and the part's name is the path it is kept at. A file whose "
    "path is one name alone is told from a field by its filename.")
_TOLD: Final[Mapping[str, str]] = {
    "NewTask": (
        "`manifest` (YAML or JSON) and perhaps `state` as text; every other part is a file of the package, and the "
        "part's name its path: `README.md`, `input/…`, `context/…`, `acceptance/…`."),
    "ReviseBody": (
        "`manifest` (YAML or JSON) and `drop` (JSON) as text; every other part is a file of the package, and the "
        "part's name its path: `README.md`, `input/…`, `context/…`, `acceptance/…`."),
    "SubmitBody": (
        "`execution` and `summary` as text; every other part is a file, and the part's name its path: `result.json`, "
        "`artifacts/…` (also the place of a path that names none of these folders), `logs/…`."),
}  # fmt: skip
_HELD: Final = ("manifest", "result", "drop", "uploads")
_FILE: Final[Json] = {"type": "string", "format": "binary"}
# Instead of the body's own: a new task may be told in two ways in JSON.
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {"NewTask": ("manifest",)}


def form(name: str, body: Json) -> Json:
    """The schema of the form that stands for the JSON body `name`."""
    own = body.get("properties") or {"manifest": {}, "state": body["anyOf"][-1]["properties"]["state"]}
    fields = {field: {"type": "string"} if field in _HELD else schema for field, schema in own.items()}
    required = list(_REQUIRED.get(name, body.get("required", ())))
    return {
        "type": "object", "description": _TOLD.get(name, _ATTACHED), "properties": fields,
        **({"required": required} if required else {}),
        "patternProperties": {"^[^/]+/.+$": _FILE}, "additionalProperties": False,
    }  # fmt: skip
