"""`web.browsers`: a few words for whatever a browser says it is."""

import pytest

from taskrepo.web.browsers import browser_name

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(("header", "said"), [
    (f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
    (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36", "Chrome on Windows"),
    (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
    (f"{MOZILLA} (Linux; Android 15; K) {WEBKIT} Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
    (f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E Safari/604.1", "Safari on iPhone"),
    (f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari on macOS"),
    ("curl/8.5.0", "curl"),
    ("python-urllib3/2.2", "a Python program"),
    ("Something (Linux)", "a browser on Linux"),
    ("", ""),
    ("<script>alert(1)</script>", ""),
    ("x" * 600 + "Firefox/1 Linux", ""),
])  # fmt: skip
def test_only_words_of_ours_come_out(header: str, said: str) -> None:
    """Well-known browsers and systems are named; of anything else nothing is repeated, however long it is."""
    assert browser_name(header) == said
    assert len(browser_name(header)) <= 40
