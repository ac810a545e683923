"""`reportgen rulesets`: named rules and their versions, on the running installation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reportgen_dagster.cli.acting import STDIN, GivenFile, UserOption, acting, head_of
from reportgen_dagster.cli.output import JsonOption, print_json
from reportgen_dagster.cli.showing import moment, say, table

if TYPE_CHECKING:
    from reportgen_dagster.services.rulesets import RulesetVersionView

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(help="The ruleset.", metavar="NAME")]


@app.command("put")
def put_command(
    name: NameArgument, file: GivenFile, user: UserOption = None, as_json: JsonOption = False
) -> None:
    """Check rules and make them the latest version of a ruleset, which is made if there is none.

    Reports that follow the ruleset use it from their next run on. The same text again is no new version.
    """
    from reportgen_dagster.services import rulesets
    from reportgen_dagster.services.uploads import MAX_RULES_BYTES, rules_text

    data = head_of(file, MAX_RULES_BYTES + 1)
    rules = rules_text(data, "rules.yaml" if file == STDIN else file.name, None)
    with acting(user) as (context, owner_id):
        version = rulesets.put_ruleset(context, owner_id, name, rules)
    if as_json:
        print_json(_version_json(version))
    else:
        say(f"{name}: version {version.number} of {moment(version.created_at)}")


@app.command("list")
def list_command(user: UserOption = None, as_json: JsonOption = False) -> None:
    """List the rulesets, each with its latest version."""
    from reportgen_dagster.services import rulesets

    with acting(user) as (context, owner_id):
        found = rulesets.list_rulesets(context, owner_id)
    if as_json:
        shown = [{"name": one.name, "latest": _version_json(one.latest)} for one in found]
        print_json({"rulesets": shown})
        return
    rows = [
        (one.name, str(one.latest.number), moment(one.latest.created_at), one.latest.title) for one in found
    ]
    say(*(table(("RULESET", "VERSION", "CAME", "TITLE"), rows) if rows else ["There is no ruleset yet."]))


@app.command("show")
def show_command(
    name: NameArgument,
    version: Annotated[
        int | None, typer.Option("--version", help="Which version; the latest if left out.", min=1)
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the text of a version of a ruleset as it was put."""
    from reportgen_dagster.services import rulesets

    with acting(user) as (context, owner_id):
        found = rulesets.get_version(context, owner_id, name, version)
        reports = rulesets.reports_by(context, owner_id, name) if as_json else []
    if as_json:
        print_json({"name": name, **_version_json(found), "text": found.rules.text, "reports": reports})
    else:
        sys.stdout.write(found.rules.text)


@app.command("versions")
def versions_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """List the versions of a ruleset, the latest first."""
    from reportgen_dagster.services import rulesets

    with acting(user) as (context, owner_id):
        found = rulesets.list_versions(context, owner_id, name)
    if as_json:
        print_json({"versions": [_version_json(one) for one in found]})
        return
    rows = [(str(one.number), moment(one.created_at), one.rules.filename, one.title) for one in found]
    say(*table(("VERSION", "CAME", "FILE", "TITLE"), rows))


@app.command("delete")
def delete_command(name: NameArgument, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Delete a ruleset that no report is made by. Runs keep the version that they were made by."""
    from reportgen_dagster.services import rulesets

    with acting(user) as (context, owner_id):
        rulesets.delete_ruleset(context, owner_id, name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"{name}: deleted")


def _version_json(version: RulesetVersionView) -> dict[str, Any]:
    """Return a version without its text, which may be long."""
    return {
        "number": version.number,
        "digest": version.digest,
        "syntax": version.rules.syntax,
        "filename": version.rules.filename,
        "title": version.title,
        "created_at": version.created_at,
    }
