"""A session lasts without the program's doing: tokens are renewed in time, once, whoever asks."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from reportgen_client import Client, ReportgenApiError, Tokens, TokensInMemory
from tests.client.conftest import PASSWORD
from tests.gateway.conftest import Server

THREADS = 8


def with_access_token(client: Client, access: str) -> TokensInMemory:
    """The client's session with another access token."""
    tokens = client.tokens.read()
    assert tokens is not None
    return TokensInMemory(replace(tokens, access=access))


def test_a_refused_access_token_is_renewed(client: Client) -> None:
    store = with_access_token(client, "over")
    with Client(client.url, tokens=store) as again:
        assert list(again.runs()) == []
    tokens = store.read()
    assert tokens is not None
    assert tokens.access != "over"


def test_an_access_token_is_renewed_before_it_runs_out(client: Client) -> None:
    tokens = client.tokens.read()
    assert tokens is not None
    assert tokens.renew_at is not None
    store = TokensInMemory(replace(tokens, renew_at=0))
    with Client(client.url, tokens=store) as again:
        assert list(again.runs()) == []
    renewed = store.read()
    assert renewed is not None
    assert renewed.renew_at
    assert renewed.refresh != tokens.refresh


def test_threads_that_renew_at_once_do_not_end_the_session(client: Client) -> None:
    store = with_access_token(client, "over")
    begin = threading.Barrier(THREADS)
    found: list[list[object]] = []
    with Client(client.url, tokens=store) as shared:

        def look() -> None:
            begin.wait()
            found.append(list(shared.runs()))

        threads = [threading.Thread(target=look) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[]] * THREADS
        shared.refresh()
        assert list(shared.runs()) == []


def test_signing_out_ends_the_session(client: Client, server: Server) -> None:
    tokens = client.tokens.read()
    assert tokens is not None
    client.logout()
    with pytest.raises(ReportgenApiError) as nobody:
        list(client.runs())
    assert (nobody.value.status, nobody.value.code) == (401, "not-authenticated")
    with (
        Client(server.url, tokens=TokensInMemory(tokens)) as old,
        pytest.raises(ReportgenApiError, match="sign in again"),
    ):
        list(old.runs())


def test_a_token_is_enough(client: Client, server: Server) -> None:
    tokens = client.tokens.read()
    assert tokens is not None
    with Client(server.url, token=tokens.access) as program:
        assert list(program.runs()) == []
        assert program.tokens.read() == Tokens(tokens.access)


def test_a_program_gets_a_token_of_its_own(client: Client, server: Server) -> None:
    made = client.api_tokens.make("nightly", scopes=["read"], days=7)
    assert [one["name"] for one in client.api_tokens.list()] == ["nightly"]
    with Client(server.url, token=made["token"]) as program:
        assert program.usage()["files"]["used"] == 0
        client.api_tokens.delete(made["id"])
        with pytest.raises(ReportgenApiError) as over:
            program.usage()
    assert over.value.status == 401
    assert list(client.api_tokens.list()) == []


def test_a_wrong_password_is_an_error_in_words(client: Client, email: str) -> None:
    with pytest.raises(ReportgenApiError) as wrong:
        client.login(email, "not it")
    assert (wrong.value.status, wrong.value.code) == (401, "not-authenticated")
    assert client.login(email, PASSWORD)["email"] == email
