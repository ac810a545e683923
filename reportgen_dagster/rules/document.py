"""The two forms of a rules file as models: which keys there are and what may stand under them.

What belongs here: the shape. What does not: what an expression may say (formulas.py, expressions.py), columns (checks.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, RootModel, Tag

MAX_COLUMNS = 5_000
MAX_STEPS = 500
LATER_STEPS = (
    "join", "filter", "select", "rename", "drop", "aggregate", "window", "top", "distinct", "pivot", "unpivot",
    "append", "sort", "limit",
)  # fmt: skip
LATER_KEYS = ("title", "description", "name", "input", "references", "rejects", "parameters")


def _number_as_text(value: object) -> object:
    """Take a number where a text is meant: YAML reads `formula: 5` as a number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value


Name = Annotated[str, BeforeValidator(_number_as_text), Field(min_length=1, max_length=300)]
ExpressionText = Annotated[str, BeforeValidator(_number_as_text), Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShortRule(_Model):
    """One column of the report and how it is made."""

    output: Name = Field(description="Name of the column in the report.")
    formula: ExpressionText = Field(description="How it is made, in the syntax of a Python expression.")


class ShortForm(RootModel[Annotated[list[ShortRule], Field(min_length=1, max_length=MAX_COLUMNS)]]):
    """The short form: a list of `{output, formula}`."""

    model_config = ConfigDict(frozen=True)


class Lookup(_Model):
    """Enriches each row by the reference's rows."""

    reference: Name = Field(description="Which reference.")
    match: Literal["shared"] = Field(description="`shared`: each column that both files have is a key.")
    defaults: Literal["standard"] = Field(
        description="`standard`: 0 or `MISSING_<column>` where no key was found."
    )


class LookupStep(_Model):
    """The step `lookup`."""

    lookup: Lookup


class DeriveStep(_Model):
    """The step `derive`: computes columns."""

    derive: dict[Name, ExpressionText] = Field(
        min_length=1, max_length=MAX_COLUMNS, description="Column and SQL scalar expression."
    )


def _sort_of_step(step: object) -> str:
    found = "lookup" in step if isinstance(step, dict) else isinstance(step, LookupStep)
    return "LookupStep" if found else "DeriveStep"


Step = Annotated[
    Annotated[LookupStep, Tag("LookupStep")] | Annotated[DeriveStep, Tag("DeriveStep")],
    Discriminator(_sort_of_step),
]


class Output(_Model):
    """What is written."""

    columns: dict[Name, Name] = Field(
        min_length=1, max_length=MAX_COLUMNS, description="Column of the report and where it comes from."
    )


class LongForm(_Model):
    """The long form, as far as it is available: the steps that the short form means."""

    version: Literal[1]
    steps: list[Step] = Field(max_length=MAX_STEPS)
    output: Output


def rules_schema() -> dict[str, Any]:
    """Return the JSON Schema of rules files, both forms."""
    schema = RootModel[ShortForm | LongForm].model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Rules of a report",
    }
