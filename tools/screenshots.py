"""Take the pictures of the README anew, in a real browser, of a demo exchange that is made for it and thrown away.

* What the pictures show is what the program does: tools/scene plays through the exchange, nothing is drawn over.
* They need Chromium (Debian package chromium), and go to data/pictures.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright
from scene import DAY, Clock, Stage, past, play

from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.web.app import make_app
from taskrepo.web.server import serve

PICTURES: Final = Path(__file__).resolve().parent.parent / "data" / "pictures"
PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_PHONE: Final = 390
_LATELY: Final = 2.5 * 3600


@dataclass(frozen=True)
class Picture:
    """A picture: its file's name, who looks at which address, how large the window is, and in which theme.

    `top` is the heading that stands at the top, if it is not the page's beginning.
    """

    name: str
    actor: str
    path: str
    size: tuple[int, int] = (1240, 860)
    theme: str = "light"
    top: str = ""


WANTED: Final = (
    Picture("task-page", "alice", "/tasks/{planets}", (1240, 1000)),
    Picture("my-work", "alice", "/work"),
    Picture("board", "alice", "/tasks?view=board"),
    Picture("review", "alice", "/review/{planets}", (1240, 1000)),
    Picture("compare", "alice", "/tasks/{planets}/submissions/1/compare/2", (1240, 1000), top="artifacts/density.csv"),
    Picture("dashboard", "carol", "/dashboard", theme="dark"),
    Picture("ledger", "alice", "/ledger"),
    Picture("phone", "carol", "/tasks/{planets}", (_PHONE, 844), "dark"),
)


def main() -> int:
    """Take them; exit code 2 if there is no browser."""
    parser = argparse.ArgumentParser(
        prog="tools/screenshots", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=PICTURES, help="where they go (data/pictures)")
    parser.add_argument("--only", default="", help="those whose name contains this")
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        print("screenshots: no Chromium here; on Debian or Ubuntu: apt-get install chromium", file=sys.stderr)
        return 2
    options.to.mkdir(parents=True, exist_ok=True)
    with demo() as (exchange, url, tasks), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            for picture in WANTED:
                if options.only in picture.name:
                    take(browser, exchange, url, tasks, picture, options.to)
        finally:
            browser.close()
    return 0


@contextlib.contextmanager
def demo() -> Iterator[tuple[Exchange, str, dict[str, str]]]:
    """The exchange, its address, and what its tasks are called."""
    with tempfile.TemporaryDirectory(prefix="taskrepo-pictures-") as folder:
        config = Config(Path(folder) / "exchange")
        tasks = _enacted(config)
        with Exchange(config) as exchange:
            exchange.follower.catch_up()
            ready, stop = threading.Event(), threading.Event()
            urls: list[str] = []

            def begun(url: str) -> None:
                urls.append(url)
                ready.set()

            app = make_app(exchange, base_url="https://tasks.example.org")
            serving = threading.Thread(
                target=serve, args=(app, "127.0.0.1", 0), kwargs={"on_ready": begun, "stop": stop}
            )
            serving.start()
            try:
                ready.wait(30)
                yield exchange, urls[0], tasks
            finally:
                stop.set()
                serving.join()


def _enacted(config: Config) -> dict[str, str]:
    """Twelve weeks of work, and what has happened in the last hours."""
    now = time.time()
    with Clock(now - 80 * DAY) as clock:
        found(config)
        with Exchange(config) as exchange:
            Stage(exchange).people()
            past(exchange, clock, now)
            clock.now = now - _LATELY
            return play(exchange, clock)


def take(browser: Browser, exchange: Exchange, url: str, tasks: dict[str, str], picture: Picture, to: Path) -> None:
    """One picture."""
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if picture.theme == "dark" else "light",
        reduced_motion="reduce", locale="en-GB", timezone_id="UTC",
        device_scale_factor=2 if width == _PHONE else 1,
    )  # fmt: skip
    try:
        token = exchange.accounts.open_session(picture.actor, int(time.time()))[0]
        context.add_cookies([{"name": "session", "value": token, "url": url, "httpOnly": True}])
        page = context.new_page()
        page.goto(url + picture.path.format_map(tasks), wait_until="load")
        # Plots of weeks that are still being read fill in by themselves.
        page.locator("[data-soon]").wait_for(state="detached", timeout=60_000)
        if picture.top:
            page.get_by_role("heading", name=picture.top).first.evaluate("each => each.scrollIntoView()")
        path = to / f"{picture.name}.png"
        page.screenshot(path=path)
        print(f"{path}  {path.stat().st_size // 1024} KiB", flush=True)
    finally:
        context.close()


if __name__ == "__main__":
    sys.exit(main())
