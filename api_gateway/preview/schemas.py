"""What a preview is of, and its answer."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api_gateway.named_reports.schemas import MAX_INPUTS, DatasetPick, Parameter, RulesetPick
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services.parameters import MAX_PARAMETERS
from reportgen_dagster.services.preview import MAX_ROWS


class PreviewOptions(BaseModel):
    """What is shown."""

    model_config = ConfigDict(extra="forbid")

    step: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="After so many steps; 0: the input as it is read; null: the report.",
    )
    rows: int = Field(10, ge=1, le=MAX_ROWS, description="At most so many.", examples=[20])
    run_date: date | None = Field(
        None, description="What `today()` is; default: the present date in UTC.", examples=["2026-11-28"]
    )


class RulesBody(BaseModel):
    """Rules that are not kept."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(examples=["- {output: gross, formula: price * quantity}"])
    syntax: Syntax = "yaml"


class PreviewBody(PreviewOptions):
    """A preview of rules over datasets."""

    rules: RulesBody | None = Field(None, description="The rules; or `ruleset`.")
    ruleset: RulesetPick | None = Field(None, description="A ruleset of the caller's; or `rules`.")
    inputs: dict[str, DatasetPick] = Field(
        max_length=MAX_INPUTS,
        description="The dataset of each file that the rules name: `input`, and each reference.",
        examples=[{"input": {"dataset": "trades"}}],
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        max_length=MAX_PARAMETERS,
        description="Values of the rules' parameters.",
        examples=[{"desk": "FX"}],
    )

    @model_validator(mode="after")
    def _rules_once(self) -> PreviewBody:
        if (self.rules is None) is (self.ruleset is None):
            raise ValueError("give either rules or ruleset")
        return self


class PreviewColumn(BaseModel):
    """A column of a preview."""

    name: str = Field(examples=["gross"])
    type: str = Field(examples=["number"])


class PreviewItem(BaseModel):
    """The first rows after a step."""

    columns: list[PreviewColumn]
    rows: list[list[str | None]] = Field(
        description="Each cell as it would be written; null where there is none.", examples=[[["2.50", None]]]
    )
    markdown: str = Field(description="The same as a Markdown table.")
    reject_count: int = Field(description="Rows met on the way that are rejects.", examples=[0])
    sampled: bool = Field(
        description="Only the first lines of a large input were looked at, also for the types of its columns."
    )
