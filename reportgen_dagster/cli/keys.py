"""`reportgen keys`: the keys that tokens are signed with, on the machine where the home lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.acting import installation
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import moment, say

if TYPE_CHECKING:
    from datetime import datetime

    from reportgen_dagster.services.keys import SigningKey

app = typer.Typer()


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the keys, the newest first: which one signs, and until when the others are believed. No secrets are shown."""
    from reportgen_dagster.identity import utc_now
    from reportgen_dagster.services import keys
    from reportgen_dagster.settings import Settings

    found, now = keys.list_keys(Settings()), utc_now()
    told = [(key, _state(key, keys.signing(found), now)) for key in found]
    if as_json:
        print_json({"keys": [_data(key, state) for key, state in told]})
    else:
        say(*(f"{key.kid}: {state}" for key, state in told))


@app.command("rotate")
def rotate_command() -> None:
    """Make a new key. It signs from ten seconds on; the old one is believed for a day more, and nobody is signed out."""
    from reportgen_dagster.services import keys

    with installation() as context:
        new = keys.rotate(context)
    say(f"{new.kid}: signs from {moment(new.not_before)} on")


@app.command("retire")
def retire_command(
    kid: Annotated[str, typer.Argument(help="The key, as `reportgen keys list` shows it.", metavar="KEY")],
) -> None:
    """Believe a key no longer from now on, as after it leaked. Whoever has a token of it refreshes; links of it are dead."""
    from reportgen_dagster.services import keys

    with installation() as context:
        keys.retire(context, kid)
    say(f"{kid}: retired")


def _state(key: SigningKey, signing: SigningKey, now: datetime) -> str:
    if key.is_retired(now):
        return "retired"
    if key == signing:
        return "signs"
    if key.not_before > now:
        return f"signs from {moment(key.not_before)} on"
    return f"is believed until {moment(key.retire_at)}" if key.retire_at else "is believed"


def _data(key: SigningKey, state: str) -> dict[str, object]:
    return {"kid": key.kid, "state": state, "not_before": key.not_before, "retire_at": key.retire_at}
