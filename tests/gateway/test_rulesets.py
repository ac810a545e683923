"""Rulesets as a resource: versions, both syntaxes, conditional changes, checks and explanations."""

from __future__ import annotations

import json

import httpx2

from tests.gateway.conftest import RULES, User, assert_problem

YAML = {"Content-Type": "application/yaml"}
OTHER_RULES = (
    b"# Comments stay.\n- {output: double, formula: field1 * 2.50}\n- {output: name, formula: refdata1}\n"
)


def put(user: User, name: str = "margin", rules: bytes = RULES, **headers: str) -> httpx2.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return user.http.put(f"/api/v1/rulesets/{name}", content=rules, headers=YAML | told)


def test_rules_are_put_once_and_then_anew(ann: User) -> None:
    made = put(ann)
    assert (made.status_code, made.json()["version"]) == (201, 1)
    assert made.headers["Location"] == "/api/v1/rulesets/margin"
    same = put(ann)
    assert (same.status_code, same.json(), same.headers["ETag"]) == (200, made.json(), made.headers["ETag"])
    other = put(ann, rules=OTHER_RULES)
    assert (other.status_code, other.json()["version"]) == (200, 2)
    assert other.headers["ETag"] != made.headers["ETag"]
    versions = ann.http.get("/api/v1/rulesets/margin/versions").json()
    assert [one["version"] for one in versions["items"]] == [2, 1]
    assert ann.http.get("/api/v1/rulesets/margin/versions/1").json() == made.json()


def test_a_name_may_be_any_text(ann: User) -> None:
    made = put(ann, "Desk%20margin%20%E2%82%AC")
    assert (made.status_code, made.json()["name"]) == (201, "Desk margin €")
    assert ann.http.get(made.headers["Location"]).json() == made.json()
    for name in ("default", "run-" + "0" * 32, "a%0Ab", "x" * 101):
        assert_problem(put(ann, name), 400, "ruleset")


def test_yaml_has_several_media_types(ann: User) -> None:
    for media_type in ("application/yaml; charset=utf-8", "text/yaml", "application/x-yaml"):
        answer = ann.http.put("/api/v1/rulesets/r", content=RULES, headers={"Content-Type": media_type})
        assert answer.json()["syntax"] == "yaml"


def test_other_bodies_are_refused(ann: User) -> None:
    for media_type in ("text/csv", "application/xml", ""):
        answer = ann.http.put("/api/v1/rulesets/r", content=RULES, headers={"Content-Type": media_type})
        assert_problem(answer, 415, "application/yaml")
    assert_problem(put(ann, rules=b""), 400, "body")
    assert put(ann, rules=RULES + b"#" * (1024 * 1024 - len(RULES))).status_code == 201
    assert_problem(put(ann, rules=RULES + b"#" * (1024 * 1024)), 413)
    assert_problem(put(ann, rules=b"\xff\xfe"), 400, "utf-8")


def test_every_problem_is_told_with_its_place_and_nothing_is_kept(ann: User) -> None:
    wrong = b"- {output: a, formula: nothing(x)}\n- {outptu: b, formula: x}\n"
    body = assert_problem(put(ann, rules=wrong), 400)
    assert {problem["line"] for problem in body["errors"]} == {1, 2}
    assert all(problem["column"] for problem in body["errors"])
    assert_problem(ann.http.get("/api/v1/rulesets/margin"), 404)


def test_rules_are_given_in_either_syntax(ann: User) -> None:
    put(ann, rules=OTHER_RULES)
    path = "/api/v1/rulesets/margin/text"
    as_put = ann.http.get(path)
    assert (as_put.content, as_put.headers["Content-Type"]) == (OTHER_RULES, "application/yaml")
    for answer in (
        ann.http.get(path, params={"as": "json"}),
        ann.http.get(path, headers={"Accept": "application/json"}),
        ann.http.get("/api/v1/rulesets/margin/versions/1/text?as=json"),
    ):
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == [
            {"output": "double", "formula": "field1 * 2.50"},
            {"output": "name", "formula": "refdata1"},
        ]
        assert answer.headers["ETag"] != as_put.headers["ETag"]
        held = {"If-None-Match": answer.headers["ETag"]}
        assert ann.http.get(path, params={"as": "json"}, headers=held).status_code == 304
        assert ann.http.get(path, headers=held).status_code == 200
    text = json.dumps([{"output": "yes", "formula": "0.50"}])
    ann.http.put("/api/v1/rulesets/j", content=text, headers={"Content-Type": "application/json"})
    assert ann.http.get("/api/v1/rulesets/j/text").text == text
    assert "formula: '0.50'" in ann.http.get("/api/v1/rulesets/j/text?as=yaml").text
    assert_problem(ann.http.get(path, params={"as": "xml"}), 400, "as")


def test_nobody_overwrites_what_he_has_not_seen(ann: User) -> None:
    assert_problem(put(ann, If_Match='"of-nothing"'), 412)
    assert_problem(put(ann, If_Match="*"), 412)
    first = put(ann, If_None_Match="*").headers["ETag"]
    assert_problem(put(ann, rules=OTHER_RULES, If_None_Match="*"), 412)
    second = put(ann, rules=OTHER_RULES, If_Match=f'"other", {first}').headers["ETag"]
    assert_problem(put(ann, If_Match=first), 412, "etag")
    assert_problem(put(ann, If_Match=f"W/{second}"), 412)
    got = ann.http.get("/api/v1/rulesets/margin")
    assert (got.headers["ETag"], got.json()["version"]) == (second, 2)
    assert ann.http.get("/api/v1/rulesets/margin", headers={"If-None-Match": second}).status_code == 304
    assert_problem(ann.http.delete("/api/v1/rulesets/margin", headers={"If-Match": first}), 412)
    deleted = ann.http.delete("/api/v1/rulesets/margin", headers={"If-Match": second})
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert_problem(ann.http.get("/api/v1/rulesets/margin"), 404)


def test_one_made_anew_is_not_the_one_that_was_seen(ann: User) -> None:
    first = put(ann).headers["ETag"]
    ann.http.delete("/api/v1/rulesets/margin")
    put(ann)
    assert_problem(ann.http.delete("/api/v1/rulesets/margin", headers={"If-Match": first}), 412)


def test_the_list_goes_on_by_name(ann: User) -> None:
    for name in ("b", "c", "a", "é"):
        put(ann, name)
    path: str | None = "/api/v1/rulesets?limit=3"
    pages = []
    while path:
        answer = ann.http.get(path)
        body = answer.json()
        assert answer.headers.get("Link") == (f'<{body["next"]}>; rel="next"' if body["next"] else None)
        pages.append([one["name"] for one in body["items"]])
        path = body["next"]
    assert [len(names) for names in pages] == [3, 1]
    assert sorted(name for names in pages for name in names) == ["a", "b", "c", "é"]
    for query in ("cursor=!", "cursor=AA==", "limit=0", "limit=201"):
        assert_problem(ann.http.get(f"/api/v1/rulesets?{query}"), 400)


def test_versions_go_on_by_number(ann: User) -> None:
    for number in range(3):
        put(ann, rules=RULES + b"#" * number)
    first = ann.http.get("/api/v1/rulesets/margin/versions?limit=2").json()
    second = ann.http.get(first["next"]).json()
    assert [one["version"] for one in first["items"] + second["items"]] == [3, 2, 1]
    assert second["next"] is None
    for cursor in ("bm9uZQ==", "OTk5OTk5OTk5OTk5OTk5OTk5OQ=="):
        assert_problem(ann.http.get(f"/api/v1/rulesets/margin/versions?cursor={cursor}"), 400, "cursor")


def test_a_check_keeps_nothing(ann: User) -> None:
    path = "/api/v1/rulesets/check"
    good = ann.http.post(path, content=RULES, headers=YAML).json()
    assert good == {"valid": True, "problems": [], "files": ["input", "reference"], "formats": ["csv"]}
    bad = ann.http.post(
        path, content=b"- {output: a, formula: nothing(x)}\n- {outptu: b}\n", headers=YAML
    ).json()
    assert bad["valid"] is False
    assert {problem["line"] for problem in bad["problems"]} == {1, 2}
    assert ann.http.post(path, content=b"\xff", headers=YAML).json()["valid"] is False
    assert ann.http.post(path, content=b"]", headers=YAML).json()["valid"] is False
    assert_problem(ann.http.post(path, content=b"", headers=YAML), 400)
    assert ann.http.get("/api/v1/rulesets").json()["items"] == []


def test_rules_are_explained(ann: User) -> None:
    put(ann)
    explained = ann.http.get("/api/v1/rulesets/margin/explain").json()
    sent = ann.http.post("/api/v1/rulesets/explain", content=RULES, headers=YAML).json()
    assert explained == sent
    assert explained["lineage"]["double"] == ["input.field1"]
    assert explained["graph"].startswith("flowchart")
    assert "SELECT" in explained["sql"][0]["sql"].upper()
    assert "steps:" in explained["rules"]
    wrong = ann.http.post("/api/v1/rulesets/explain", content=b"- {output: a, formula: f(}\n", headers=YAML)
    assert_problem(wrong, 400)


def test_what_is_somebody_elses_does_not_exist(ann: User, bob: User) -> None:
    put(ann)
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/text"),
        ("GET", "/explain"),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("GET", "/versions/1/text"),
    ):
        assert_problem(bob.http.request(method, f"/api/v1/rulesets/margin{path}"), 404)
    assert bob.http.get("/api/v1/rulesets").json()["items"] == []
    assert put(bob, rules=OTHER_RULES).status_code == 201
    assert ann.http.get("/api/v1/rulesets/margin/text").content == RULES
    for path in ("/versions/2", "/versions/2/text"):
        assert_problem(ann.http.get(f"/api/v1/rulesets/margin{path}"), 404, "no version 2")
