"""Deliveries as a resource: who sees those of which run, and may send them anew."""

from __future__ import annotations

from sqlalchemy import text

from tests.gateway.conftest import Server, User, assert_problem


def test_a_runs_deliveries_are_listed_and_one_is_sent_anew(
    server: Server, ann: User, bob: User, finish
) -> None:
    ann.upload()
    task = ann.generate()
    finish(task, report=b"total\n1\n")
    assert ann.http.get(f"/api/v1/runs/{task}/deliveries").json() == {"items": [], "next": None}
    with server.context.catalog.transaction() as session:
        session.execute(
            text(
                "INSERT INTO deliveries (id, owner_id, report_name, run_id, event, channel, destination, state,"
                " attempts, give_up_at) SELECT md5(id), owner_id, 'daily', id, 'success', 'webhook',"
                ' \'{"url": "https://example.com", "secret": "partner"}\', \'dead\', 12, now() FROM runs WHERE id = :id'
            ),
            {"id": task},
        )
    (item,) = ann.http.get(f"/api/v1/runs/{task}/deliveries/").json()["items"]
    assert (item["run_id"], item["channel"], item["state"], item["next_at"]) == (
        task,
        "webhook",
        "dead",
        None,
    )
    assert item["destination"] == {"url": "https://example.com", "secret": "partner"}
    assert_problem(bob.http.get(f"/api/v1/runs/{task}/deliveries"), 404)
    assert_problem(bob.http.post(f"/api/v1/deliveries/{item['id']}/redeliver"), 404)
    again = ann.http.post(f"/api/v1/deliveries/{item['id']}/redeliver").json()
    assert (again["id"], again["state"], again["attempts"]) == (item["id"], "pending", 0)
    assert again["next_at"] is not None
