"""JSON bodies as only a program with a fault, or somebody with a plan, sends them."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import User, assert_problem

JSON = {"Content-Type": "application/json"}
CALLS = [
    ("POST", "/api/auth/register/"),
    ("POST", "/api/auth/login/"),
    ("POST", "/api/auth/refresh/"),
    ("PATCH", "/api/v1/me"),
    ("POST", "/api/v1/me/password"),
    ("POST", "/api/v1/me/tokens"),
    ("POST", "/api/v1/preview"),
    ("PUT", "/api/v1/reports/margin"),
    ("PUT", "/api/v1/datasets/trades/expectation"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_key_that_is_there_twice_is_refused_by_its_name(ann: User, method: str, path: str) -> None:
    answer = ann.http.request(
        method, path, content=b'{"name": "a", "x": [{"name": 1, "name": 2}]}', headers=JSON
    )
    assert_problem(answer, 400, "'name' is there twice")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("9223372036854775808", ["9223372036854775808", "64 bits"]),
        ("-9223372036854775809", ["64 bits"]),
        ("1" * 4000, ["64 bits"]),
        ("NaN", ["NaN"]),
        ("-Infinity", ["-Infinity"]),
    ],
)
def test_numbers_that_are_none_are_refused(ann: User, value: str, words: list[str]) -> None:
    body = f'{{"rules": {{"text": "x"}}, "inputs": {{}}, "parameters": {{"p": {value}}}}}'
    assert_problem(ann.http.post("/api/v1/preview", content=body, headers=JSON), 400, *words)
    form = ann.http.post(
        "/api/v1/preview/sample", files={"input": b"a\n1\n"}, data={"parameters": f'{{"p": {value}}}'}
    )
    assert_problem(form, 400, *words)


def test_the_same_key_in_different_objects_is_no_twin(ann: User) -> None:
    body = b'{"name": "Ann", "x": {"name": "a"}}'
    assert ann.http.patch("/api/v1/me", content=body, headers=JSON).status_code == 200
