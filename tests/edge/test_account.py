"""One's own account in the browser, without scripts: sessions, appearance, keys, and signing in."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo.credentials import digest, session_id
from tests.support.http import Site, running
from tests.support.person import Page, Person

PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E Safari/604.1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An exchange where alice and carol have passwords."""
    with running(tmp_path) as site:
        for actor in ("alice", "carol"):
            site.exchange.accounts.set_password(actor, PASSWORD, int(time.time()))
        yield site


@pytest.fixture
def arrive(site: Site) -> Iterator[Callable[[str], Person]]:
    """Somebody who signs in with the form, in a browser of the given User-Agent."""
    people: list[Person] = []

    def made(agent: str, actor: str = "alice") -> Person:
        person = Person(site.url)
        people.append(person)
        page = person.get("/login?next=/me")
        answer = person.submit(page, "/login", {"actor": actor, "password": PASSWORD}, headers={"User-Agent": agent})
        assert "You are signed in." in answer.text
        return person

    yield made
    for person in people:
        person.close()


def ends(page: Page) -> list[str]:
    """The addresses that end a single session, in the page's order."""
    return [form.action for form in page.forms if form.action.startswith("/me/sessions/") and form.action != OTHERS]


OTHERS = "/me/sessions/end"


def test_sessions_are_listed_with_their_browsers(site: Site, arrive: Callable[[str], Person]) -> None:
    """Each session says in which browser it is, begun and seen when; this one is marked, and no token is shown."""
    phone, desk = arrive(PHONE), arrive(FIREFOX)
    page = desk.get("/me")
    for said in ("Safari on iPhone", "Firefox on Linux", "begun", "last seen"):
        assert said in page.text
    assert page.text.count("this one") == 1 and len(ends(page)) == 1
    for token in (phone.cookies["session"], desk.cookies["session"]):
        assert token not in page.html and digest(token).hex() not in page.html
    assert ends(page) == [f"/me/sessions/{session_id(digest(phone.cookies['session']))}/end"]
    # A phone's header has no room for signing out, so that one's own page has it.
    assert [form.action for form in page.forms].count("/logout") == 2


def test_one_session_is_ended(site: Site, arrive: Callable[[str], Person]) -> None:
    """Ending a session signs that browser out and leaves the others; doing it again says that it has ended."""
    phone, desk = arrive(PHONE), arrive(FIREFOX)
    page, address = desk.get("/me"), f"/me/sessions/{session_id(digest(phone.cookies['session']))}/end"
    assert "The session has ended." in desk.submit(page, address).text
    assert phone.get("/me").url.startswith("/login")
    again = desk.submit(page, address)
    assert (again.status, "or it has ended" in again.text) == (404, True)


def test_nobody_ends_a_session_of_others(site: Site, arrive: Callable[..., Person]) -> None:
    """The id of another actor's session ends nothing, as if there were no such session."""
    alice, carol = arrive(FIREFOX), arrive(PHONE, "carol")
    address = f"/me/sessions/{session_id(digest(alice.cookies['session']))}/end"
    token = carol.get("/me").form("/logout").fields["csrf"]
    assert carol.ask("POST", address, fields={"csrf": token}).status == 404
    assert alice.get("/me").status == 200


def test_ending_this_session_signs_out(site: Site, arrive: Callable[[str], Person]) -> None:
    """Whoever ends the session they are in is asked to sign in."""
    desk = arrive(FIREFOX)
    address = f"/me/sessions/{session_id(digest(desk.cookies['session']))}/end"
    page = desk.ask("POST", address, fields={"csrf": desk.get("/me").form("/logout").fields["csrf"]})
    assert page.url.startswith("/login")


def test_all_others_are_ended(site: Site, arrive: Callable[[str], Person]) -> None:
    """One button ends every session but this one, and is not there when there is none."""
    phone, desk = arrive(PHONE), arrive(FIREFOX)
    page = desk.submit(desk.get("/me"), OTHERS)
    assert "The sessions have ended." in page.text and not page.offers(OTHERS)
    assert phone.get("/me").url.startswith("/login") and desk.get("/me").status == 200


def test_the_appearance_is_this_browsers(site: Site, arrive: Callable[[str], Person]) -> None:
    """Light or dark is kept in this browser for a year, and the system's again takes it back."""
    desk = arrive(FIREFOX)
    page = desk.get("/me")
    assert page.form("/me/appearance").fields["theme"] == ""
    page = desk.submit(page, "/me/appearance", {"theme": "dark"})
    assert ("The appearance is set" in page.text, desk.cookies["theme"]) == (True, "dark")
    assert page.form("/me/appearance").fields["theme"] == "dark"
    assert dict(page.elements)["html"]["data-theme"] == "dark"
    answer = desk.submit(page, "/me/appearance", {"theme": "light"}, follow=False)
    assert "max-age=31536000" in answer.headers["Set-Cookie"].lower()
    desk.submit(page, "/me/appearance", {"theme": ""})
    assert "theme" not in desk.cookies and "data-theme" not in dict(desk.get("/me").elements)["html"]


def test_an_appearance_nobody_knows_is_refused(site: Site, arrive: Callable[[str], Person]) -> None:
    """Anything but light, dark and the system's is refused, and sets no cookie."""
    desk = arrive(FIREFOX)
    page = desk.submit(desk.get("/me"), "/me/appearance", {"theme": "<script>"})
    assert (page.status, "theme" in desk.cookies) == (400, False)
    assert "is light, dark, or empty" in page.text


def test_keys_say_when_they_were_used(site: Site, arrive: Callable[[str], Person]) -> None:
    """A key tells when it was made, and that it was used or never was."""
    desk = arrive(FIREFOX)
    assert "never used" in desk.get("/me").text
    assert site.get("alice", "/me").status == 200
    told = desk.get("/me").text
    assert "last used a moment ago" in told and "never used" not in told


def test_too_many_attempts_are_told_to_wait(site: Site) -> None:
    """After ten wrong passwords the page answers 429, says how long to wait and what works meanwhile."""
    stranger = Person(site.url)
    page = stranger.get("/login")
    for _ in range(10):
        wrong = stranger.submit(page, "/login", {"actor": "carol", "password": "wrong horse battery"})
        assert (wrong.status, "Retry-After" in wrong.headers) == (401, False)
    for password in (PASSWORD, "wrong horse battery"):
        page = stranger.submit(page, "/login", {"actor": "carol", "password": password})
        assert page.status == 429 and 800 < int(page.headers["Retry-After"]) <= 900
        assert "wait 15 minutes, then try again" in page.text and "sign-in link from an admin works" in page.text
        assert page.form("/login").fields["actor"] == "carol"
    link = site.exchange.accounts.issue_link("carol", int(time.time()))
    page = stranger.submit(stranger.get(f"/login/link/{link}"), f"/login/link/{link}")
    assert "You are signed in." in page.text
    stranger.close()


def test_too_many_current_passwords_are_told_to_wait(site: Site, arrive: Callable[[str], Person]) -> None:
    """Guessing the current password to change it is held up in the same way, and changes nothing."""
    desk = arrive(FIREFOX)
    page = desk.get("/me")
    for _ in range(10):
        typed = {"current": "wrong horse battery", "password": "another good password"}
        assert desk.submit(page, "/me/password", typed).status == 401
    page = desk.submit(page, "/me/password", {"current": PASSWORD, "password": "another good password"})
    assert page.status == 429 and int(page.headers["Retry-After"]) > 0 and "then try again" in page.text
    later = int(time.time()) + 16 * 60
    assert site.exchange.accounts.check_password("alice", PASSWORD, later)
