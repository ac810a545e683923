"""`reportgen login` and `logout`: signing in to a service, for the commands that ask it."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.asking import ContextOption, asking, told
from reportgen_dagster.cli.credentials import DEFAULT_CONTEXT, Credentials, SignedIn
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import say
from reportgen_dagster.environment import service_variables
from reportgen_dagster.errors import BadRequestError

if TYPE_CHECKING:
    from reportgen_client import Client

LOCAL_URL = "http://127.0.0.1:8000"
PATIENCE_SECONDS = 3.0  # the address may be mistyped


def login_command(
    url: Annotated[
        str | None,
        typer.Argument(
            help=f"The service; REPORTGEN_URL, or {LOCAL_URL}, if left out.",
            metavar="URL",
            show_default=False,
        ),
    ] = None,
    email: Annotated[
        str | None, typer.Option("--email", help="Your e-mail; asked for if left out.", metavar="EMAIL")
    ] = None,
    register: Annotated[bool, typer.Option("--register", help="Make the account first.")] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read an API token from standard input instead.")
    ] = False,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign in to a service. The password is asked for, and never an argument.

    What is got is kept in a file that only you can read; the other commands use and renew it.
    """
    from reportgen_client import Client

    address = (url or service_variables()[0] or LOCAL_URL).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise BadRequestError(f"`{address}` is no address; write it as https://reports.example.com")
    name = context or DEFAULT_CONTEXT
    token = sys.stdin.readline().strip() if token_stdin else None
    if token == "":
        raise BadRequestError("Standard input has no token.")
    with told(), Client(address, token=token, patience=PATIENCE_SECONDS) as client:
        if token is None:
            account = _signed_in(client, email, register=register)
        else:
            account = ""
            _judge(client)
        tokens = client.tokens.read()
    Credentials().put(name, SignedIn(address, account, tokens) if tokens else None)
    if as_json:
        print_json({"url": address, "email": account or None, "context": name})
    else:
        say(f"Signed in to {address}{f' as {account}' if account else ' with a token'}.")


def logout_command(context: ContextOption = None, as_json: JsonOption = False) -> None:
    """End the session that `login` began, and forget it. An API token is only forgotten: revoke it where you made it."""
    from reportgen_client import ReportgenApiError

    name = context or DEFAULT_CONTEXT
    with asking(name) as client:
        tokens = client.tokens.read()
        try:
            if tokens and tokens.refresh:
                client.logout()
        except ReportgenApiError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:  # that it is over already is as good
                raise
        finally:
            Credentials().put(name, None)
    if as_json:
        print_json({"signed_out": name})
    else:
        say("Signed out.")


def _judge(client: Client) -> None:
    """Ask the service whether a token is one, whatever it is good for."""
    from reportgen_client import ReportgenApiError

    try:
        next(client.runs(limit=1), None)
    except ReportgenApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise


def _signed_in(client: Client, email: str | None, *, register: bool) -> str:
    """Ask for what is needed, sign in, and return the account's e-mail."""
    address = email or typer.prompt("E-mail", err=True)
    if register:
        name = typer.prompt("Your name", err=True)
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return str(client.register(address, name, password)["email"])
    password = typer.prompt("Password", hide_input=True, err=True)
    return str(client.login(address, password)["email"])
