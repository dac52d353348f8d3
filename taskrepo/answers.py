"""Answers of a server as the client reads them: JSON, the problem it tells of, or the body as a file.

* Nothing is believed: a body has a bound, a problem a form; whatever else answers is no exchange, and so `Unreachable`.
* A problem becomes the error it was on the server, of the same family, code and details.

>>> reason(OSError(111, "Connection refused"))
'Connection refused'
"""

import json
import re
from typing import Any, Final

from urllib3.exceptions import HTTPError

from taskrepo.desk import Json, Unreachable
from taskrepo.errors import REFUSALS, Invalid, Refused, TaskrepoError

MAX_ANSWER: Final = 64 << 20
AGAIN: Final = frozenset({429, 503})
"""The statuses after which the same request may be sent again."""
_CHUNK: Final = 1 << 16
_MALFORMED: Final = frozenset({400, 408, 411, 414, 417, 431, 501, 505})


class Stream:
    """A response's body as a file; a connection lost on the way is `Unreachable`."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none only at the end."""
        try:
            return bytes(self._response.read(size))
        except (HTTPError, OSError) as error:
            raise Unreachable(f"the connection was lost: {reason(error)}") from error


def read_json(response: Any) -> Json:
    """The answer, or what its problem says is raised."""
    data = _bounded(response)
    if not 200 <= response.status < 300:
        raise _problem(response, data)
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Unreachable(f"what answers there is no exchange ({response.status}, not JSON); check the address")
    return answer


def refusal(response: Any) -> TaskrepoError:
    """What an answer that is no success tells of; its connection is given back."""
    try:
        return _problem(response, _bounded(response))
    finally:
        response.release_conn()


def _bounded(response: Any) -> bytes:
    data = bytearray()
    stream = Stream(response)
    while more := stream.read(_CHUNK):
        data += more
        if len(data) > MAX_ANSWER:
            raise Unreachable(f"the answer is over {MAX_ANSWER:,} bytes")
    return bytes(data)


def _problem(response: Any, data: bytes) -> TaskrepoError:
    """The error that an RFC 9457 problem tells of; its other members are kept as details."""
    try:
        members = json.loads(data)
        code, detail = members.pop("code"), members.pop("detail")
    except (ValueError, KeyError, TypeError, AttributeError):
        return _no_problem(response)
    if not isinstance(code, str) or not isinstance(detail, str) or not re.fullmatch("[a-z0-9-]{1,60}", code):
        return _no_problem(response)
    error: TaskrepoError
    if response.status in _MALFORMED and code not in REFUSALS:
        error = Invalid(code, "", detail)
        error.where = str(members.get("where", ""))
    else:
        error = Refused(code, detail or code)
    error.details = {**members, **_retry_after(response)}
    return error


def _retry_after(response: Any) -> dict[str, int]:
    """How many seconds to wait, if the answer says so (RFC 9110, section 10.2.3)."""
    retry = response.headers.get("Retry-After", "")
    return {"retry_after": int(retry)} if re.fullmatch("[0-9]{1,6}", retry) else {}


def _no_problem(response: Any) -> TaskrepoError:
    """What answered speaks HTTP, but not as an exchange does: a proxy, or another server altogether."""
    if response.status in AGAIN:
        return Refused("busy", f"the server answered {response.status}", **_retry_after(response))
    return Unreachable(f"what answers there is no exchange ({response.status}); check the address")


def reason(error: BaseException) -> str:
    """The innermost cause, in words."""
    while (cause := getattr(error, "reason", None) or error.__cause__) and isinstance(cause, BaseException):
        error = cause
    return str(getattr(error, "strerror", None) or str(error).rpartition(">: ")[2] or type(error).__name__)
