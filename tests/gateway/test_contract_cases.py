"""The API answers what its document declares, whatever it is asked."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.conftest import REFERENCE, RULES, Server, User
from tests.gateway.contract_cases import ENDING, ask

# The servers behind it are away here.
WITHOUT = f"^/readyz$|{ENDING}"
NAME, VERSIONS = "margin", 3  # what the document's examples name
LEAST_SHARE_TAKEN = 0.06  # most cases make no sense on purpose
MOST_SHARE_UNKNOWN = 0.12  # that a call is guarded is tried once for each


def test_every_answer_is_declared_and_none_is_a_server_error(
    server: Server, ann: User, tmp_path: Path
) -> None:
    ann.upload()
    ann.generate()
    _make_what_examples_name(ann)
    asked = ask(server.url, ann.session["access"], tmp_path, examples=1, seed=1, without=WITHOUT)
    assert asked.is_good, asked.told[-6000:]
    assert ann.http.get("/api/v1/me").status_code == 200, "the cases ended the session that asks"
    assert asked.share(range(200, 400)) > LEAST_SHARE_TAKEN
    assert asked.share([401]) < MOST_SHARE_UNKNOWN


def _make_what_examples_name(user: User) -> None:
    http = user.http
    for number in range(VERSIONS):
        rows = f"refkey1,field1\nk1,{number}\n".encode()
        sent = http.post(f"/api/v1/datasets/{NAME}/versions", files={"file": ("input.csv", rows)})
        assert sent.status_code == 201, sent.text
        rules = RULES + f"# {number}\n".encode()
        yaml = {"Content-Type": "application/yaml"}
        assert http.put(f"/api/v1/rulesets/{NAME}", content=rules, headers=yaml).is_success
    sent = http.post("/api/v1/datasets/reference/versions", files={"file": ("r.csv", REFERENCE)})
    assert sent.status_code == 201, sent.text
    inputs = {"input": {"dataset": NAME}, "reference": {"dataset": "reference"}}
    put = http.put(f"/api/v1/reports/{NAME}", json={"ruleset": {"name": NAME}, "inputs": inputs})
    assert put.status_code == 201, put.text
    expected = http.put(f"/api/v1/datasets/{NAME}/expectation", json={"cron": "0 6 * * *"})
    assert expected.is_success, expected.text
