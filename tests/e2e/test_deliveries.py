"""A report of a running service reaches a receiver without anybody doing anything."""

from __future__ import annotations

import json

import psycopg

from tests.e2e.client import EXAMPLE, Client, until
from tests.services.delivering import Received, hook, receiving
from tests.stack import Stack


def test_a_run_is_delivered_and_its_owner_sees_it(stack: Stack) -> None:
    client = Client(stack.url)
    names = {"input_file": "input.csv", "reference_file": "reference.csv", "rules_file": "rules.yaml"}
    files = {part: (name, (EXAMPLE / name).read_bytes()) for part, name in names.items()}

    def trigger() -> str:
        form = {"cron": "0 0 1 1 *", "report_name": "daily"}
        answer = client.http.post("/api/trigger-scheduled-report/", files=files, data=form)
        assert answer.status_code == 201, answer.text
        return answer.json()["task_id"]

    trigger()
    with receiving() as receiver:
        with psycopg.connect(stack.database_url) as connection:
            connection.execute(
                "UPDATE reports SET deliveries = %s WHERE name = 'daily' AND owner_id = %s",
                (json.dumps([hook(receiver)]), client.session["user"]["id"]),
            )
        run_id = trigger()

        def told() -> list[Received]:
            return [request for request in receiver.received if run_id.encode() in request.body]

        until(lambda: bool(told()), "the webhook came", seconds=90)
        data, delivery_id = told()[0].verified()["data"], told()[0].headers["webhook-id"]
        assert (data["report"], data["state"], data["rows"]) == ("daily", "succeeded", 10)

        def seen() -> list[tuple[str, str]]:
            items = client.http.get(f"/api/v1/runs/{run_id}/deliveries").json()["items"]
            return [(one["id"], one["state"]) for one in items]

        until(lambda: seen() == [(delivery_id, "delivered")], "its owner sees that it arrived", seconds=30)
