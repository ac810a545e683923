"""The example report of the first start, made as a user would make it: through the public HTTP API.

Prints what an onlooker needs to try the API. Nothing here is needed for the service to run.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

EMAIL = "demo@reportgen.example"
SHOWN_LINES = 4

_PATIENCE_SECONDS = 90.0
_POLL_SECONDS = 0.1
_FINAL = ("succeeded", "failed", "cancelled")


def make_example(url: str, example: Path) -> list[str]:
    """Register the demo account, upload the example, generate its report.

    Args:
        url: Address of the gateway.
        example: Folder with rules.yaml, input.csv and reference.csv.

    Returns:
        Lines to show: the account and the report's first lines, or why there are none.
    """
    said: list[str] = []
    if (example / "rules.yaml").exists():
        try:
            with httpx2.Client(base_url=url, timeout=30) as http:
                _make(http, example, secrets.token_urlsafe(12), said.append)
        except httpx2.HTTPError as error:
            said.append(f"The example report was not made: {error}")
    return said


def _make(http: httpx2.Client, example: Path, password: str, say: Callable[[str], None]) -> None:
    account = {"email": EMAIL, "name": "Demo", "password": password}
    registered = http.post("/api/auth/register/", json=account)
    if registered.status_code != httpx2.codes.CREATED:
        say(f"No example report: the account {EMAIL} is there already.")
        return
    http.headers["Authorization"] = f"Bearer {registered.json()['access']}"
    say(f"The account {EMAIL} has the password {password} (shown only this once).")
    rules = {"file": ("rules.yaml", (example / "rules.yaml").read_bytes())}
    http.post("/api/upload-rules/", files=rules).raise_for_status()
    names = ("input", "reference")
    files = {name: (f"{name}.csv", (example / f"{name}.csv").read_bytes()) for name in names}
    http.post("/api/upload-files/", files=files).raise_for_status()
    accepted = http.post("/api/generate-report/")
    accepted.raise_for_status()
    task = accepted.json()["task_id"]
    if _final_status(http, task) != "succeeded":
        say(f"The example report did not succeed; see run {task} in the Dagster UI.")
        return
    report = http.get(f"/api/download-report/{task}/")
    report.raise_for_status()
    say(f"The example report {example.name}, made from rules/{example.name}, begins:")
    for line in report.text.splitlines()[:SHOWN_LINES]:
        say(f"  {line}")


def _final_status(http: httpx2.Client, task: str) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    status = ""
    while status not in _FINAL and time.monotonic() < deadline:
        answer = http.get(f"/api/task-status/{task}/")
        answer.raise_for_status()
        status = answer.json()["status"]
        if status not in _FINAL:
            time.sleep(_POLL_SECONDS)
    return status
