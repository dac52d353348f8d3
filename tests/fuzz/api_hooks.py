"""What schemathesis is told of the API beyond its description, for tools/fuzz api.

* No call waits: `wait` is taken out of what a call would wait by, or most of a run would be spent in it.
* The run keeps its own key: the call that would revoke it, or suspend its owner, is turned to somebody else.
* A valid call may be refused with 400 only by a code of `BEYOND`: for a grammar that no JSON Schema can express. One
  whose header does not fit its own pattern is not valid, whatever schemathesis takes it for.
"""

import os
import re
from typing import Any, Final

import schemathesis

from taskrepo.web import openapi_parameters

BEYOND: Final = {
    "bad-cursor": "",  # sealed by the exchange
    "bad-query": "",  # the query language
    "bad-content-range": "",  # which is to fit its own length, and the body's
    "bad-pattern": "", "bad-schema": "",  # a regular expression, a schema in a manifest
    "bad-path": "",  # names that some system reads as others
    "bad-public-key": "",  # an SSH public key
    "bad-hash": "", "hash-mismatch": "", "size-mismatch": "",  # content that is not of the hash it was said to have
    "bad-multipart": "", "bad-archive": "", "truncated-body": "",  # bodies that are no JSON
    "bad-yaml": "manifest",  # as text in a form
    "bad-json": "body|manifest|drop|result|uploads",  # the same; and numbers of more digits than are taken
    "invalid-field": (
        r".*min_bytes|policy[.]\w+|.*[_.]at|url|filter|.*since|now|"  # what does not fit together; times; addresses
        r"description|(?:[a-z-]+[.])?(?:manifest|drop|uploads)\b.*"),  # as text in a form
    "unexpected-files": "", "reserved-id": "", "bad-name": "",  # names that are to be printed
}  # fmt: skip
"""Codes, and where they may be of: a pattern, or anywhere."""
_PATTERNS: Final = {
    each["name"]: each["schema"]["pattern"]
    for each in openapi_parameters.in_header(("Idempotency-Key", "Content-Range", "If-Match"))
}
_OWNER: Final = os.environ.get("TASKREPO_FUZZ_ACTOR", "")
_KEY: Final = os.environ.get("TASKREPO_FUZZ_KEY", "")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let the call not wait, nor take its own key away."""
    for held in (case.query, case.body):
        if isinstance(held, dict) and held.get("wait"):
            wait = str(held["wait"])
            if wait.isdecimal():
                held["wait"] = type(held["wait"])(0)
    path = case.path_parameters or {}
    if path.get("key") == _KEY:
        path["key"] = "none"
    if path.get("actor") == _OWNER and case.method in ("PATCH", "DELETE"):
        path["actor"] = "carol"


@schemathesis.check
def refused_for_what_the_description_says(context: Any, response: Any, case: Any) -> None:
    """A call that fits the description is refused with 400 only for what it cannot say."""
    meta = getattr(case, "meta", None)
    if response.status_code != 400 or meta is None or not meta.generation.mode.is_positive:
        return
    problem = response.json()
    if not _fits(problem["where"], (case.headers or {}).get(problem["where"])):
        return
    where = BEYOND.get(problem["code"])
    known = where is not None and (not where or re.fullmatch(where, problem["where"]))
    assert known, f"a call that fits the description is malformed: {problem}"


def _fits(header: str, value: str | None) -> bool:
    """Whether the value fits what the description says of the header, if that is what it is of."""
    pattern = _PATTERNS.get(header, "")
    return value is None or re.search(pattern, value) is not None
