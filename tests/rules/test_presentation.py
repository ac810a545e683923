"""What the block `presentation` may say, and what is told where it does not fit: with line, column and cure."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from reportgen_dagster.contracts.types import DATE, INTEGER, TEXT, TIME, Type
from reportgen_dagster.errors import BadDataError, RulesError
from reportgen_dagster.rules.compiling.presenting import presentation_problems
from reportgen_dagster.rules.reading.cell_formats import (
    NumberFormat,
    TemporalFormat,
    TextFormat,
    Token,
    cell_format,
)
from reportgen_dagster.rules.reading.loading import load_ruleset, read_ruleset
from reportgen_dagster.rules.reading.presentation import Chart, Presentation, Total
from reportgen_dagster.services.rules_problems import rules_problems
from tests.engine.making import make_long

HEAD = """version: 1
input:
  schema:
    fields:
      - {name: desk, type: string}
      - {name: amount, type: decimal, precision: 18, scale: 2}
      - {name: traded, type: date}
      - {name: at, type: time}
      - {name: done, type: boolean}
"""


def _told(presentation: str, head: str = HEAD, **headers: list[str]) -> list[str]:
    """Return problems as `line:column path  message`."""
    columns = {"input": ["desk", "amount", "traded", "at", "done", "free"], **headers}
    try:
        problems = rules_problems(read_ruleset(f"{head}presentation:\n{presentation}"), columns)
    except RulesError as error:
        problems = list(error.problems)
    return [
        f"{one.line}:{one.column} {one.path.removeprefix('presentation')}  {one.message}" for one in problems
    ]


ALL = """  title: Margin by desk
  locale: pt-BR
  formats: {amount: "#,##0.00 €", traded: dd.mm.yyyy, at: "hh:mm", desk: "@", free: "0.0%", done: "@"}
  totals: {amount: average, traded: minimum, at: maximum, desk: count, free: sum}
  sort: [-amount, desk]
  charts:
    - {kind: bar, x: desk, y: amount, by: done, title: Amount by desk}
    - {kind: line, x: traded, y: free}
    - {kind: pie, x: desk, y: amount}
"""


def test_all_of_it_fits() -> None:
    assert _told(ALL) == []
    presentation = load_ruleset(f"{HEAD}presentation:\n{ALL}").document.presentation
    assert presentation.locale == "pt_BR"
    assert presentation.told["free"] == "sum"
    assert Presentation(totals=("a", "b")).told == {"a": "sum", "b": "sum"}


def test_it_is_written_as_it_was_read() -> None:
    ruleset = load_ruleset(f"{HEAD}presentation:\n{ALL}")
    again = load_ruleset(ruleset.to_yaml())
    assert again.document == ruleset.document
    assert "presentation" not in load_ruleset(HEAD).to_yaml()


SHAPES = """  titel: x
  locale: klingon
  formats: {amount: "#.##0,00", traded: 5x, desk: ""}
  totals: {amount: total}
  sort: {}
  charts:
    - {kind: bars, x: desk, y: amount}
    - {kind: bar, x: desk}
    - {kind: pie, x: dsk, y: amount, by: desk}
    - 5
    - {kind: bar, x: desk, y: amont, colour: red}
"""


def test_everything_that_is_wrong_is_told_at_once_with_its_place() -> None:
    assert _told(SHAPES) == [
        "11:3 .titel  unknown key `titel`; did you mean `title`?",
        "12:11 .locale  `klingon` is no locale that is known, such as en, de or pt_BR",
        "13:22 .formats.amount  `#.##0,00` is no format, such as `#,##0.00`, `0.0%`, `dd.mm.yyyy`, `hh:mm` or `@`",
        "13:41 .formats.traded  `5x` is no format, such as `#,##0.00`, `0.0%`, `dd.mm.yyyy`, `hh:mm` or `@`",
        "13:52 .formats.desk  `` is no format, such as `#,##0.00`, `0.0%`, `dd.mm.yyyy`, `hh:mm` or `@`",
        "14:20 .totals.amount  `total` is unknown; one of sum, average, minimum, maximum, count is expected here",
        "15:9 .sort  a list is expected here",
        "17:14 .charts[0].kind  `bars` is unknown; did you mean `bar`?",
        "18:7 .charts[1].y  `y` is missing",
        "19:22 .charts[2].x  unknown column `dsk`; did you mean `desk`?",
        "19:38 .charts[2].by  a pie has no `by`: its slices are the values of `x`",
        "20:7 .charts[3]  a mapping is expected here",
        "21:31 .charts[4].y  unknown column `amont`; did you mean `amount`?",
        "21:38 .charts[4].colour  unknown key `colour`; there are kind, x, y, by, title",
    ]


TYPES = """  formats: {desk: "0.00", traded: "#,##0", at: dd.mm.yyyy, done: "0", amount: yyyy, amout: "0"}
  totals: [amount, amount, desk, traded]
  sort: [-amout, desk, desk]
  charts:
    - {kind: bar, x: desk, y: traded, by: nosuch}
    - {kind: line, x: nosuch, y: done}
"""


def test_what_does_not_fit_the_columns_is_told_with_the_nearest_name() -> None:
    assert _told(TYPES) == [
        "11:20 .formats.desk  `0.00` writes numbers; `desk` is text",
        "11:36 .formats.traded  `#,##0` writes numbers; `traded` is date",
        "11:48 .formats.at  `dd.mm.yyyy` writes a day; `at` is a time of day",
        "11:67 .formats.done  `0` writes numbers; `done` is boolean",
        "11:79 .formats.amount  `yyyy` writes dates and times; `amount` is decimal(18,2)",
        "11:85 .formats.amout  unknown column `amout`; did you mean `amount`?",
        "12:20 .totals[1]  `amount` is there twice",
        "12:28 .totals[2]  only numbers have a sum; `desk` is text",
        "12:34 .totals[3]  only numbers have a sum; `traded` is date",
        "13:10 .sort[0]  unknown column `amout`; did you mean `amount`?",
        "13:24 .sort[2]  `desk` is there twice",
        "15:31 .charts[0].y  a chart shows sums of numbers; `traded` is date",
        "15:43 .charts[0].by  unknown column `nosuch`",
        "16:23 .charts[1].x  unknown column `nosuch`",
        "16:34 .charts[1].y  a chart shows sums of numbers; `done` is boolean",
    ]


def test_columns_are_the_report_s() -> None:
    steps = "steps:\n  - aggregate: {by: [desk], measures: {total: sum(amount)}}\n"
    head = f"{HEAD}{steps}output: {{columns: {{Desk: desk, Total: total}}}}\n"
    assert _told("  totals: [Total]\n  sort: [Desk]\n", head) == []
    assert _told("  totals: [total]\n", head) == [
        "14:12 .totals[0]  unknown column `total`; did you mean `Total`?"
    ]


@pytest.mark.parametrize("unknown", ["free", "jan"])
def test_what_only_data_tell_is_not_judged_before(unknown: str) -> None:
    """`free` has no field, and what a pivot makes has no name before the rows are seen."""
    steps = (
        "" if unknown == "free" else "steps:\n  - pivot: {by: [desk], column: free, values: sum(amount)}\n"
    )
    chart = f"  totals: [{unknown}]\n  charts: [{{kind: bar, x: desk, y: {unknown}}}]\n"
    assert _told(f'  formats: {{{unknown}: "0.00"}}\n{chart}', HEAD + steps) == []


def test_columns_of_a_pivot_are_judged_once_the_rows_told_them(tmp_path: Path) -> None:
    steps = "steps:\n  - pivot: {by: [desk], column: month, values: sum(amount)}\n"
    data = "desk,month,amount\nRates,jan,1\nRates,feb,2\n"
    assert make_long(tmp_path, f"{steps}presentation: {{totals: [jan, feb]}}\n", data).lines[1] == "Rates,2,1"
    with pytest.raises(BadDataError) as caught:
        make_long(tmp_path, f"{steps}presentation: {{totals: [jann]}}\n", data)
    assert [str(problem) for problem in caught.value.problems] == [
        "rules.yaml:4:25  presentation.totals[0]  unknown column `jann`; did you mean `jan`?",
    ]


def test_a_wrong_column_of_the_output_hides_nothing_and_makes_nothing_up() -> None:
    told = _told("  totals: [gone]\n", f"{HEAD}output: {{columns: [desk, {{}}]}}\n")
    assert [line.partition("  ")[0] for line in told] == ["10:26 output.columns[1]"]


def test_bounds() -> None:
    charts = "\n".join("    - {kind: bar, x: desk, y: amount}" for _ in range(21))
    told = _told(
        f"  title: {'x' * 301}\n  formats: {{amount: '{'0' * 201}', free: '{'0' * 31}'}}\n  charts:\n{charts}\n"
    )
    assert [line.partition("  ")[2] for line in told] == [
        "it is longer than 300 characters",
        "a format has at most 200 characters",
        "a format has at most 30 digits on each side of the point",
        "there are more than 20 of these",
    ]


def test_types_that_are_known_are_judged() -> None:
    presentation = Presentation.model_validate(
        {
            "formats": {"d": "hh:mm", "t": "hh:mm"},
            "totals": {"s": "maximum", "t": "minimum", "s2": "average"},
            "charts": [{"kind": "bar", "x": "n", "y": "n"}],
        }
    )
    types = {"d": DATE, "t": TIME, "s": TEXT, "s2": Type("cell"), "n": Type("null")}
    assert [wrong.message for wrong in presentation_problems(presentation, types)] == [
        "`hh:mm` writes a time of day; `d` is a date, which has none",
        "only numbers, dates and times have a maximum; `s` is text",
        "only numbers have an average; `s2` is cell",
    ]
    assert [*presentation_problems(Presentation(sort=("-a",)), {"-a": INTEGER})] == []


def test_codes_that_there_are() -> None:
    assert cell_format("@") == TextFormat()
    assert cell_format('"≈ "#,##0.0#" kg"') == NumberFormat("≈ ", " kg", 1, True, 1, 1)  # noqa: FBT003
    assert cell_format("00.0%") == NumberFormat("", "%", 2, False, 1, 0, True)  # noqa: FBT003
    parts = (Token("hour", 2), ":", Token("minute", 2), " ", Token("day", 1), "/", Token("month", 2))
    assert cell_format("hh:mm d/mm") == TemporalFormat(parts)
    assert cell_format("m:ss") == TemporalFormat((Token("minute", 1), ":", Token("second", 2)))


@pytest.mark.parametrize(
    "code",
    [
        *(
            "",
            " ",
            "x",
            "General",
            "0.",
            ".0",
            "#",
            "#,#",
            "#,##0,",
            "0,0",
            "0.0.0",
            "-0",
            "0;0",
            "[Red]0",
            "0E+0",
            "0?",
        ),
        *(
            "# ?/?",
            "_(0_)",
            "*0",
            '"',
            '"a"',
            '"0',
            "yyy",
            "mmmmm",
            "ddd",
            "hhh",
            "sss",
            "am/pm",
            "hh:mm AM/PM",
            "[h]:mm",
        ),
        *(
            "dd.mm.yyyy0",
            "0dd",
            "@@",
            "@0",
            "0%%",
            "%0",
            "€",
            "=1+1",
            "0=1",
            "0\n",
            "{{0}}",
            "yyyy\x00",
            "<b>0",
        ),
    ],
)
def test_codes_that_there_are_not(code: str) -> None:
    with pytest.raises(ValueError, match="is no format, such as"):
        cell_format(code)


# the page of the documentation

PAGE = (Path(__file__).parents[2] / "docs" / "rules" / "presentation.md").read_text()


@pytest.mark.parametrize("block", [block.partition("```")[0] for block in PAGE.split("```yaml\n")[1:]])
def test_every_example_of_the_page_is_sound(block: str) -> None:
    ruleset = load_ruleset(block)
    assert ruleset.document.presentation.charts
    fields = [field.name for field in ruleset.contract("input").fields]
    assert rules_problems(ruleset, {"input": fields}) == []


def test_the_page_tells_every_key_and_word() -> None:
    for model in (Presentation, Chart):
        assert [key for key in model.model_fields if f"`{key}`" not in PAGE] == []
    assert [word for word in (*get_args(Total), "bar", "line", "pie") if f"`{word}`" not in PAGE] == []
