"""A user's client for the end-to-end tests: speaks only the public HTTP API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

FINAL = {"succeeded", "failed", "cancelled"}
EXAMPLE = Path(__file__).parents[2] / "rules" / "trade"


class Client:
    """One account on a running service."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=url, timeout=60)
        self.email = f"{uuid4().hex}@example.com"
        answer = self.http.post(
            "/api/auth/register/", json={"email": self.email, "name": "Ann", "password": "pass123"}
        )
        assert answer.status_code == 201, answer.text
        self.session = answer.json()
        self.http.headers["Authorization"] = f"Bearer {self.session['access']}"

    def sign_in_again(self) -> None:
        """Take a fresh access token, as a client does whose old one expired."""
        answer = self.http.post("/api/auth/login/", json={"email": self.email, "password": "pass123"})
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access']}"

    def upload_example(self) -> None:
        """Upload rules and files of the trade example."""
        rules = {"file": ("rules.yaml", (EXAMPLE / "rules.yaml").read_bytes())}
        assert self.http.post("/api/upload-rules/", files=rules).status_code == 200
        files = {
            name: (f"{name}.csv", (EXAMPLE / f"{name}.csv").read_bytes()) for name in ("input", "reference")
        }
        assert self.http.post("/api/upload-files/", files=files).status_code == 200

    def generate(self, **files: bytes) -> str:
        """Accept a run and return its task id."""
        parts = {
            name: (f"{name}.{'yaml' if name == 'rules' else 'csv'}", body) for name, body in files.items()
        }
        answer = self.http.post("/api/generate-report/", files=parts or None)
        assert answer.status_code == 202, answer.text
        return answer.json()["task_id"]

    def generate_anew(self) -> str:
        """Accept a run by rules of its own, so that it takes over no files of an earlier one; return its task id."""
        rules = (EXAMPLE / "rules.yaml").read_bytes()
        return self.generate(rules=rules + f"\n# {uuid4().hex}\n".encode())

    def status(self, task_id: str) -> dict[str, Any]:
        """Return the task's status, asking again while the service recovers from a kill."""
        answer = self.http.get(f"/api/task-status/{task_id}/")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, task_id: str, *, seconds: float = 60) -> dict[str, Any]:
        """Return the task's status once it is final, however often the service is away in between."""
        status: dict[str, Any] = {}

        def final() -> bool:
            nonlocal status
            try:
                answer = self.http.get(f"/api/task-status/{task_id}/")
            except httpx2.TransportError:
                return False
            status = answer.json() if answer.status_code == 200 else status
            return status.get("status") in FINAL

        until(final, f"task {task_id} is final", seconds=seconds, state=lambda: status)
        return status

    def download(self, task_id: str) -> httpx2.Response:
        """Download the report of a task."""
        return self.http.get(f"/api/download-report/{task_id}/")


def until(condition, what: str, *, seconds: float = 30, state=lambda: "") -> None:
    """Poll until the condition holds; fail the test with what was awaited when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}; last seen: {state()}"
        time.sleep(0.1)
