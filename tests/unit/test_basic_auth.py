"""What counts as a password in an Authorization field."""

from base64 import b64encode

import pytest

from taskrepo.web.basic_auth import basic_password


def basic(text: bytes) -> str:
    return "Basic " + b64encode(text).decode()


@pytest.mark.parametrize(("field", "password"), [
    (basic(b"anybody:tr_key"), "tr_key"),
    (basic(b":tr_key"), "tr_key"),
    (basic(b"a:b:c"), "b:c"),
    (basic("jörg:schlüssel".encode()), "schlüssel"),
    ("bAsIc  " + b64encode(b"x:y").decode() + " ", "y"),
    (basic(b"tr_key"), ""),
    (basic(b"x:"), ""),
    (basic(b"x:\xff"), ""),
    ("Basic", ""),
    ("Basic ????", ""),
    ("Basic eDö5", ""),
    ("Bearer " + b64encode(b"x:y").decode(), ""),
    ("", ""),
])  # fmt: skip
def test_the_password_of_a_field(field: str, password: str) -> None:
    """The part behind the first colon of well-formed Basic credentials, and nothing of anything else."""
    assert basic_password(field) == password
