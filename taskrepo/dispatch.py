"""A webhook's messages: the envelope, the signature, and when to try again.

* The body is a CloudEvent 1.0 in structured JSON; its id is the event's commit, the same whenever it is sent.
* It is signed as Standard Webhooks has it: HMAC-SHA256 of `id.timestamp.body`, in base64, once with each live secret.
* Pauses between attempts double up to a cap, with chance in them; a receiver that asks for a longer one gets it.

>>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
>>> headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])["webhook-signature"]
'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

MEDIA_TYPE: Final = "application/cloudevents+json"
SECRET_BYTES: Final = 32
PING: Final = "taskrepo.ping"
_PREFIX: Final = "whsec_"
MAX_PAUSE: Final = 86400
"""The longest pause a receiver can ask for, in seconds."""
_SECONDS: Final = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How patient deliveries are, in seconds: the first pause, the longest, and when a receiver is given up.

    It is given up after `give_up` seconds without a success, but not before `attempts` were made.
    """

    first: float = 2.0
    longest: float = 3600.0
    give_up: float = 3 * 86400.0
    attempts: int = 12

    def pause(self, failures: int, chance: float, asked: float | None = None) -> float:
        """Seconds until the next attempt after so many failures in a row; `chance` is from 0 to 1.

        >>> Schedule().pause(1, 0.5), Schedule().pause(40, 1.0), Schedule().pause(1, 0.0, asked=60)
        (2.0, 4500.0, 60)
        """
        own = min(self.longest, self.first * 2.0 ** min(failures - 1, 40)) * (0.75 + chance / 2)
        return max(own, min(asked or 0, MAX_PAUSE))

    def is_over(self, failures: int, failing: float) -> bool:
        """Whether a receiver that has failed so often, for so many seconds, is given up."""
        return failures >= self.attempts and failing >= self.give_up


def secret_of(key: bytes) -> str:
    """The secret as its owner gets it."""
    return _PREFIX + base64.b64encode(key).decode()


def headers(ident: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The header fields of a message; `secrets` are those that count, the newest first."""
    signatures = " ".join(_signature(ident, timestamp, body, secret) for secret in secrets)
    return {"webhook-id": ident, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}


def _signature(ident: str, timestamp: int, body: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.digest(key, f"{ident}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def envelope(ident: str, source: str, kind: str, subject: str, time: str, data: Mapping[str, Any]) -> bytes:
    """A CloudEvent as JSON. `time` is RFC 3339."""
    event = {
        "specversion": "1.0",
        "id": ident,
        "source": source,
        "type": kind,
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False, allow_nan=False).encode()


def type_of(event: str, task: str | None) -> str:
    """The CloudEvent's type of an event of the ledger.

    >>> type_of("submitted", "4k7q2m9x"), type_of("actor-added", None)
    ('taskrepo.task.submitted', 'taskrepo.directory.actor-added')
    """
    return f"taskrepo.{'directory' if task is None else 'task'}.{event}"


def retry_after(field: str, now: float) -> float | None:
    """The seconds a `Retry-After` field asks for: a number, or a date (RFC 9110, section 10.2.3).

    >>> retry_after("120", 0), retry_after("Thu, 01 Jan 1970 00:02:00 GMT", 60.0), retry_after("soon", 0)
    (120.0, 60.0, None)
    """
    text = field.strip(" \t")  # no other space means nothing in a header, and not all of it means nothing to `float`
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(field[:40]).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
