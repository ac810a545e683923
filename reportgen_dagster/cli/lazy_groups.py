"""Groups of commands that are loaded when one of them is called or listed, so that they slow down no other command."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

PACKAGE = "reportgen_dagster.cli"


def lazy_group(name: str, summary: str) -> typer.Typer:
    """Return a group that stands for the `app` of a module of this package.

    Args:
        name: The module.
        summary: What the group is for, told without loading it.
    """

    @cache
    def loaded() -> TyperGroup:
        return get_group(import_module(f"{PACKAGE}.{name}").app)

    class LazyGroup(TyperGroup):
        """Knows its commands only when somebody asks for them; the types of contexts and commands are private to typer."""

        def list_commands(self, ctx: Any) -> list[str]:
            """Return the names of the commands."""
            return loaded().list_commands(ctx)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """Return a command."""
            return loaded().get_command(ctx, cmd_name)

    return typer.Typer(name=name, cls=LazyGroup, help=summary, no_args_is_help=True)
