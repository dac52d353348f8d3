"""What a browser says it is, in a few words for its own user: `Firefox on Linux`.

* Only words of this module come out, whatever the `User-Agent` header (RFC 9110, 10.1.5) says; no version, no model.
* It is a reminder, never evidence: who sends the header decides what is in it, so no rule depends on it.

>>> browser_name("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
'Firefox on Linux'
"""

from collections.abc import Sequence
from typing import Final

_READ: Final = 500  # characters of the header
# Most browsers name others they are like: the first that fits counts.
_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"), ("python", "a Python program"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("CrOS", "ChromeOS"), ("Windows", "Windows"),
    ("Mac OS X", "macOS"), ("Macintosh", "macOS"), ("Linux", "Linux"), ("BSD", "BSD"),
)  # fmt: skip


def browser_name(header: str) -> str:
    """The browser and its system, at most 40 characters; the empty string for a header that names neither."""
    said = header[:_READ]
    browser, system = _first(_BROWSERS, said), _first(_SYSTEMS, said)
    if not system:
        return browser
    return f"{browser or 'a browser'} on {system}"


def _first(known: Sequence[tuple[str, str]], said: str) -> str:
    return next((name for mark, name in known if mark in said), "")
