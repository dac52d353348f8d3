"""A script that talks to the personal-queue API as its users' scripts do: plain HTTP, no library of taskrepo.

>>> Script(site.url, key).post("/api/tasks", title="Call Bo")["status"]                 # doctest: +SKIP
'backlog'
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.waiting import PATIENCE


@dataclass(frozen=True)
class Script:
    """Calls with one key, sent in this header."""

    url: str
    key: str
    header: str = "Authorization"

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the JSON of an answer. A body of bytes is sent as it is."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, method=method)
        if self.key:
            request.add_header(self.header, f"Bearer {self.key}" if self.header == "Authorization" else self.key)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def get(self, path: str) -> Any:
        """The JSON of an answer that must be a success."""
        return self._good("GET", path)

    def post(self, path: str, body: Any = None, **fields: Any) -> Any:
        """The same of a POST."""
        return self._good("POST", path, body or fields or None)

    def patch(self, task: str, **fields: Any) -> Any:
        """A task after a change."""
        return self._good("PATCH", f"/api/tasks/{task}", fields)

    def task(self, title: str = "Test task", **fields: Any) -> Any:
        """A new task."""
        return self.post("/api/tasks", title=title, **fields)

    def titles(self, path: str) -> list[str]:
        """The titles in a list, or in a queue."""
        found = self.get(path)
        return [task["title"] for task in (found["tasks"] if isinstance(found, dict) else found)]

    def _good(self, method: str, path: str, body: Any = None) -> Any:
        status, data = self(method, path, body)
        assert status == 200, (method, path, body, status, data)
        return data
