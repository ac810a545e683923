"""The language's reference over HTTP, and what the long form adds to reports: parameters, several references, dialects."""

from __future__ import annotations

import json

import httpx2
import pytest

from reportgen_dagster.rules.functions import FUNCTIONS
from reportgen_dagster.rules.reading.document import rules_schema
from reportgen_dagster.services import attempts
from tests.gateway.conftest import INPUT, REFERENCE, Server, User, assert_problem, claim_run

TWO_REFERENCES = b"""
version: 1
parameters:
  factor: {type: integer, default: 2}
  since: {type: date}
input:
  schema: {fields: [{name: day, type: date}, {name: amount, type: integer}]}
steps:
  - lookup: {reference: desks, match: {desk: desk_id}, take: [desk_name]}
  - lookup: {reference: rates, match: {currency: code}, take: [rate]}
  - filter: day >= :since
  - derive: {total: amount * rate * :factor}
"""
TRADES = b"day,desk,currency,amount\n2024-01-31,d1,EUR,10\n"
DESKS = b"desk_id,desk_name\nd1,FX\n"
RATES = b"code,rate\nEUR,2\n"
NO_REFERENCE = b"version: 1\nsteps:\n  - derive: {double: field1 * 2}\n"


def _files(**changed: tuple[str, bytes] | None) -> dict[str, tuple[str, bytes]]:
    files = {
        "rules": ("r.yaml", TWO_REFERENCES),
        "input": ("i.csv", TRADES),
        "desks": ("d.csv", DESKS),
        "rates": ("r.csv", RATES),
    }
    return {name: file for name, file in (files | changed).items() if file is not None}


def _generate(user: User, parameters: object = None, **changed: tuple[str, bytes] | None) -> httpx2.Response:
    given = parameters if isinstance(parameters, str) else json.dumps(parameters)
    data = {} if parameters is None else {"parameters": given}
    return user.http.post("/api/generate-report/", files=_files(**changed), data=data)


def test_functions_are_listed_for_anybody(anybody: httpx2.Client) -> None:
    answer = anybody.get("/api/v1/functions")
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["name"] for item in items] == list(FUNCTIONS)
    assert all(item["signature"] and item["summary"] and item["example"] for item in items)
    assert {item["role"] for item in items} == {"scalar", "aggregate", "window"}


def test_the_schema_of_rules_is_there_for_editors(anybody: httpx2.Client) -> None:
    answer = anybody.get("/api/v1/schema/rules.json")
    assert (answer.status_code, answer.json()) == (200, rules_schema())
    assert answer.headers["Content-Type"].startswith("application/schema+json")
    again = anybody.get("/api/v1/schema/rules.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_run_takes_several_references_and_parameters(ann: User, server: Server) -> None:
    given = {"since": "2024-01-01", "factor": 3}
    answer = _generate(ann, given)
    assert answer.status_code == 202, answer.text
    claim = claim_run(server.context, answer.json()["task_id"])
    assert set(claim.files) == {"input", "desks", "rates"}
    assert claim.parameters == given
    (run,) = ann.http.get("/api/v1/runs").json()["items"]
    assert (run["parameters"], run["run_date"]) == (given, claim.run_date.isoformat())


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (None, ["since", "no default"]),
        ({"since": "31.1.2024"}, ["parameters.since", "2024-01-31"]),
        ({"since": "2024-01-01", "facter": 3}, ["facter", "did you mean `factor`"]),
        ({"since": "2024-01-01", "factor": "many"}, ["parameters.factor"]),
        ("not json", ["parameters", "JSON object"]),
        ('{"since": ["2024-01-01"]}', ["parameters.since"]),
        ('{"since": "a\\u0000"}', ["parameters.since"]),
        ("[" * 10_000, ["parameters"]),
    ],
)
def test_wrong_parameters_are_400_and_named(ann: User, parameters: object, words: list[str]) -> None:
    assert_problem(_generate(ann, parameters), 400, *words)
    assert ann.http.get("/api/v1/runs").json()["items"] == []


def test_parameters_may_be_written_on_several_lines(ann: User) -> None:
    assert _generate(ann, '{\n\t"since": "2024-01-01"\r\n}').status_code == 202


def test_wrong_rules_and_wrong_parameters_are_told_together(ann: User) -> None:
    rules = TWO_REFERENCES.replace(b"amount * rate", b"amuont * rate")
    answer = _generate(ann, {"since": 1}, rules=("r.yaml", rules))
    assert_problem(answer, 400, "did you mean `amount`?", "parameters.since")


def test_a_missing_reference_is_400_and_named(ann: User) -> None:
    assert_problem(_generate(ann, {"since": "2024-01-01"}, rates=None), 400, "rates")


def test_columns_are_read_as_the_rules_want_it(ann: User) -> None:
    rules = NO_REFERENCE.replace(b"steps:", b'input: {dialect: {delimiter: "#"}}\nsteps:')
    files = {"rules": ("r.yaml", rules), "input": ("i.csv", b"field1#a,b\n1#2\n")}
    assert ann.http.post("/api/generate-report/", files=files).status_code == 202
    plain = {"rules": ("r.yaml", NO_REFERENCE), "input": ("i.csv", b"field1#a,b\n1#2\n")}
    assert_problem(ann.http.post("/api/generate-report/", files=plain), 400, "field1")


def test_a_file_without_a_header_is_taken_where_the_rules_say_so(ann: User) -> None:
    rules = b"""
version: 1
input:
  dialect: {header: false}
  schema: {fields: [{name: field1, type: integer}, {name: field2, type: integer}]}
steps:
  - derive: {double: field1 * 2}
"""
    body = b"7,7\n7,8\n"
    with_rules = {"rules": ("r.yaml", rules), "input": ("i.csv", body)}
    assert ann.http.post("/api/generate-report/", files=with_rules).status_code == 202
    assert_problem(ann.http.post("/api/upload-files/", files={"input": ("i.csv", body)}), 400, "7")
    assert ann.http.post("/api/upload-rules/", files={"file": ("r.yaml", rules)}).status_code == 200
    assert ann.http.post("/api/upload-files/", files={"input": ("i.csv", body)}).status_code == 200
    assert ann.http.post("/api/generate-report/").status_code == 202
    plain = {"rules": ("r.yaml", NO_REFERENCE)}
    assert_problem(ann.http.post("/api/generate-report/", files=plain), 400, "7")


def test_a_schedule_takes_parameters_and_further_references(ann: User, server: Server) -> None:
    files = {
        "input_file": ("i.csv", TRADES),
        "rules_file": ("r.yaml", TWO_REFERENCES),
        "desks": ("d.csv", DESKS),
        "rates": ("r.csv", RATES),
    }
    form = {"cron": "0 6 * * *", "parameters": '{"since": "2024-01-01"}', "report_name": "margin"}
    answer = ann.http.post("/api/trigger-scheduled-report/", files=files, data=form)
    assert answer.status_code == 201, answer.text
    (schedule,) = ann.http.get("/api/v1/schedules").json()["items"]
    assert schedule["parameters"] == {"since": "2024-01-01"}
    claim = claim_run(server.context, answer.json()["task_id"])
    assert (set(claim.files), claim.parameters) == ({"input", "desks", "rates"}, {"since": "2024-01-01"})
    wrong = ann.http.post(
        "/api/trigger-scheduled-report/", files=files, data=form | {"parameters": '{"since": 1}'}
    )
    assert_problem(wrong, 400, "parameters.since")


def test_a_schedule_of_rules_without_a_reference_needs_none(ann: User) -> None:
    files = {"input_file": ("i.csv", INPUT), "rules_file": ("r.yaml", NO_REFERENCE)}
    answer = ann.http.post("/api/trigger-scheduled-report/", files=files, data={"cron": "0 6 * * *"})
    assert answer.status_code == 201, answer.text
    files["reference_file"] = ("r.csv", REFERENCE)
    answer = ann.http.post("/api/trigger-scheduled-report/", files=files, data={"cron": "0 6 * * *"})
    assert_problem(answer, 400, "reference")


def test_a_failed_run_offers_its_rejects(ann: User, server: Server) -> None:
    from reportgen_dagster.errors import ContractError

    ann.upload()
    task = ann.generate()
    with server.context.store.new_blob() as blob:
        blob.write(b"_line,_reason\n7,bad\n")
        rejects = blob.finish()
    known = {"input_count": 2, "used_count": 1, "reject_count": 1}
    error = ContractError("1 of 2 rows are rejects; the rules allow none (`policy: fail`)")
    claim = claim_run(server.context, task)
    assert attempts.fail(server.context, claim, error, rejects=rejects, outcome=known)
    status = ann.http.get(f"/api/task-status/{task}/").json()
    assert (status["status"], status["rejected"]) == ("failed", 1)
    assert ann.http.get(status["links"]["rejects"]).content == b"_line,_reason\n7,bad\n"
