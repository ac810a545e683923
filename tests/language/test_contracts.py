"""Section `Long form`, `Contracts`."""

from __future__ import annotations

import pandera.api.base.schema as pandera_base
import pytest

from reportgen_dagster.contracts.contract import contract_of
from reportgen_dagster.contracts.rendering import table_schema
from reportgen_dagster.errors import ContractError
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.language.asking import Asking, refused

SAMPLE = """version: 1
title: Desk margin
input:
  dialect: {delimiter: ";", encoding: utf-8, decimalChar: ","}
  schema:
    missingValues: ["", "NA"]
    primaryKey: trade_id
    fields:
      - {name: trade_id, type: string, constraints: {required: true, unique: true, pattern: "T[0-9]+"}}
      - {name: amount,   type: decimal, precision: 18, scale: 4, constraints: {minimum: 0}}
      - {name: traded,   type: date, format: "%d/%m/%Y"}
references:
  desks:
    schema: {primaryKey: desk_id, fields: [{name: desk_id, type: string}, {name: fee, type: decimal}]}
steps:
  - lookup: {reference: desks, match: {desk: desk_id}, take: [desk_name, fee], defaults: {desk_name: unknown, fee: 0}}
  - filter: amount > 0 and desk_name <> 'TEST'
  - derive: {gross: amount * max(fee, 0.5), size: "case when amount > 1000 then 'large' else 'small' end"}
  - aggregate: {by: [desk_name, size], measures: {trades: count(*), total: sum(gross)}}
  - filter: trades > 3
  - sort: [-total, desk_name]
output:
  columns: {Desk: desk_name, Size: size, Trades: trades, Total: total}
  schema: {fields: [{name: Total, constraints: {minimum: 0}}]}
rejects: {policy: divert, max: 1%}
"""


def test_the_sample_of_the_page_runs_as_it_stands(ask: Asking) -> None:
    # version: 1 / title: Desk margin / ...
    rows = [f"T{n};{n % 5 + 1},25;0{n % 9 + 1}/02/2024;{('d1', 'd2', 'd9')[n % 3]}" for n in range(30)]
    rows += [f"T{n};2000,0001;31/01/2024;d1" for n in range(91, 95)]
    rows += ["T80;0;01/01/2024;d1", "T81;NA;01/01/2024;d1", "T82;7;01/01/2024;dt"]
    rows += [f"T{n};0,0000;01/01/2024;d1" for n in range(100, 300)]
    data = "trade_id;amount;traded;desk\n" + "\n".join([*rows, "X1;1;01/01/2024;d1", ""])
    desks = "desk_id,desk_name,fee\nd1,FX,0.75\nd2,rates,0.25\ndt,TEST,1\n"
    made = ask.long(SAMPLE.removeprefix("version: 1\n"), data, desks=desks)
    # 10 rows of each desk, amounts 1.25 to 5.25, two of each: 32.5 in all.
    assert made.lines == [
        "Desk,Size,Trades,Total",
        "FX,large,4,6000.0003000000000",
        "FX,small,10,24.3750000000000",
        "rates,small,10,16.2500000000000",
        "unknown,small,10,16.2500000000000",
    ]
    assert [(row["_column"], row["_value"]) for row in made.rejects or ()] == [("trade_id", "X1")]


DIALECTS = [
    ('delimiter: "|"', "a|b\n1|2\n"),
    ('quoteChar: "\'"', "a,b\n'1',2\n"),
    ('quoteChar: "\'", doubleQuote: true', "a,b\n1,'2'\n"),
    ("skipInitialSpace: true", "a, b\n1, 2\n"),
    ("commentChar: '#'", "# a note\na,b\n# more\n1,2\n"),
    ("header: false", "1,2\n"),
    ("encoding: utf-16", "a,b\n1,2\n".encode("utf-16")),
]


@pytest.mark.parametrize(("dialect", "data"), DIALECTS, ids=[dialect for dialect, _ in DIALECTS])
def test_dialect_follows_table_dialect(ask: Asking, dialect: str, data: str) -> None:
    # `dialect` follows Data Package's Table Dialect
    fields = "schema: {fields: [{name: a, type: integer}, {name: b, type: integer}]}"
    made = ask.long(f"input: {{dialect: {{{dialect}}}, {fields}}}\nsteps: [{{derive: {{c: a + b}}}}]", data)
    assert made.lines == ["a,b,c", "1,2,3"]


def test_escape_and_double_quotes_are_those_of_the_dialect(ask: Asking) -> None:
    # `dialect` follows Data Package's Table Dialect
    made = ask.long("input: {dialect: {doubleQuote: false, escapeChar: '\\'}}", 'a,b\n"x\\"y",1\n')
    assert made.lines == ["a,b", '"x""y",1']
    assert ask.long("", 'a,b\n"x""y",1\n').lines == ["a,b", '"x""y",1']


TYPES = [
    ("string", "anything, at all", "", ""),
    ("integer", "-7", "1.5", "x"),
    ("number", "1.5e3", "x", "1_000"),
    ("decimal", "1.25", "x", "1e999"),
    ("boolean", "true", "yes", "2"),
    ("date", "2024-02-29", "2023-02-29", "29.2.2024"),
    ("time", "10:00:00", "25:00:00", "noon"),
    ("datetime", "2024-02-29T10:00:00", "2024-02-30T10:00:00", "x"),
]


def test_the_field_types_of_table_schema_are_known_and_judge_each_cell(ask: Asking) -> None:
    # `schema` its Table Schema (field types string, integer, number, decimal, boolean, date, time, datetime
    fields = ", ".join(f"{{name: {name}, type: {name}}}" for name, *_ in TYPES)
    good = ",".join(f'"{good}"' for _, good, *_ in TYPES)
    rows = [good]
    for place, (name, _, *bad) in enumerate(TYPES):
        if name != "string":
            rows += [
                ",".join(f'"{wrong if n == place else one[1]}"' for n, one in enumerate(TYPES))
                for wrong in bad
            ]
    data = ",".join(name for name, *_ in TYPES) + "\n" + "\n".join(rows) + "\n"
    made = ask.long(f"input: {{schema: {{fields: [{fields}]}}}}", data)
    names = [name for name, *_ in TYPES if name != "string" for _ in range(2)]
    assert [row["_column"] for row in made.rejects or ()] == names
    assert [column["type"] for column in made.outcome.columns] == [
        "text", "integer", "number", "decimal(38,9)", "boolean", "date", "time", "datetime",
    ]  # fmt: skip


def test_a_type_that_the_page_does_not_name_is_refused() -> None:
    # field types string, integer, number, decimal, boolean, date, time, datetime
    for name in ("array", "geopoint", "duration", "text"):
        assert "type" in refused(f"input: {{schema: {{fields: [{{name: a, type: {name}}}]}}}}")


CONSTRAINTS = [
    ("required: true", "string", "x", ""),
    ("minimum: 5", "integer", "5", "4"),
    ("maximum: 5", "number", "5", "5.001"),
    ("exclusiveMinimum: 5", "decimal", "5.01", "5"),
    ("exclusiveMaximum: '2024-01-31'", "date", "2024-01-30", "2024-01-31"),
    ("minLength: 2", "string", "éé", "é"),
    ("maxLength: 2", "string", "éé", "ééé"),
    ('pattern: "T[0-9]+"', "string", "T12", "T12x"),
    ("enum: [a, b]", "string", "a", "c"),
    ("enum: [1, 2]", "integer", "02", "3"),
]  # fmt: skip


def test_each_constraint_of_table_schema_rejects_what_breaks_it(ask: Asking) -> None:
    # constraints required, unique, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern, enum
    fields = ", ".join(
        f"{{name: c{n}, type: {type_}, constraints: {{{text}}}}}"
        for n, (text, type_, *_) in enumerate(CONSTRAINTS)
    )
    rows = [[good for *_, good, _ in CONSTRAINTS]]
    for place, (*_, bad) in enumerate(CONSTRAINTS):
        rows.append([bad if n == place else one[2] for n, one in enumerate(CONSTRAINTS)])
    data = "\n".join(",".join(row) for row in [[f"c{n}" for n in range(len(CONSTRAINTS))], *rows]) + "\n"
    made = ask.long(f"input: {{schema: {{fields: [{fields}]}}}}", data)
    assert made.outcome.row_count == 1
    assert [(row["_column"], row["_rule"].split(":")[0]) for row in made.rejects or ()] == [
        (f"c{n}", text.split(":")[0]) for n, (text, *_) in enumerate(CONSTRAINTS)
    ]


def test_missing_values_are_nulls_and_break_required_only(ask: Asking) -> None:
    # missingValues
    schema = (
        "{missingValues: ['', NA], fields: [{name: a, type: integer, constraints: {minimum: 1}}, {name: b}]}"
    )
    made = ask.long(
        f"input: {{schema: {schema}}}\nsteps: [{{derive: {{c: a is null}}}}]", "a,b\nNA,1\n,2\n3,NA\n"
    )
    assert made.lines == ["a,b,c", ",1,true", ",2,true", "3,,false"]


def test_a_primary_key_is_there_and_only_once(ask: Asking) -> None:
    # primaryKey
    text = "input: {schema: {primaryKey: [a, b], fields: [{name: a}, {name: b}]}}"
    made = ask.long(text, "a,b\n1,1\n1,2\n1,1\n,1\n")
    assert made.lines == ["a,b", "1,1", "1,2"]
    assert [row["_line"] for row in made.rejects or ()] == ["4", "5"]


FOREIGN = """
input:
  schema:
    fields: [{name: desk, type: string}, {name: n, type: integer}]
    foreignKeys: [{fields: desk, reference: {resource: desks, fields: id}}]
"""


def test_foreign_keys_point_to_a_reference(ask: Asking) -> None:
    # foreignKeys to a reference
    made = ask.long(FOREIGN, "desk,n\nd1,1\nd2,2\n,3\n", desks="id\nd1\n")
    assert made.lines == ["desk,n", "d1,1", ",3"]
    assert "desks" in (made.rejects or [{}])[0]["_rule"]


def test_contracts_are_turned_into_pandera_schemas() -> None:
    # They are turned into pandera schemas
    document = load_ruleset(SAMPLE).document
    assert document.input is not None
    assert document.input.schema_ is not None
    contract = contract_of(document.input.schema_, document.input.dialect)
    schema = table_schema(contract, name="input")
    assert isinstance(schema, pandera_base.BaseSchema)
    assert list(schema.columns) == ["trade_id", "amount", "traded"]
    assert [check.name for check in schema.columns["amount"].checks]


EACH = """
input: {schema: {fields: [{name: a, type: integer, constraints: {minimum: 1}}]}}
references: {r: {schema: {fields: [{name: n, type: integer, constraints: {minimum: 1}}]}}}
steps: [{lookup: {reference: r, match: {a: k}}}]
output: {schema: {fields: [{name: n, constraints: {maximum: 9}}]}}
"""


def test_input_each_reference_and_output_are_judged(ask: Asking) -> None:
    # on the input, on each reference, on the output.
    made = ask.long(EACH, "a\n1\n0\n", r="k,n\n1,5\n")
    told = made.outcome.contracts
    assert {name: facts["passed"] for name, facts in told.items()} == {
        "input": False,
        "r": True,
        "output": True,
    }
    (failure,) = told["input"]["failures"]
    assert (failure["column"], failure["count"], failure["samples"]) == ("a", 1, ["'0'"])
    for r in ("k,n\n1,0\n", "k,n\n1,10\n"):
        ask.failing(EACH, "a\n1\n", r=r)


FAR = 30_000


@pytest.mark.parametrize(
    ("common", "odd", "type_"),
    [("7", "7", "integer"), ("7", "7.5", "number"), ("7", "1e3", "number"), ("7", "x", "text"), ("7.5", "x", "text"),
     ("7", "2024-01-31", "text"), ("2024-01-31", "2024-02-30", "text"), ("true", "1", "text"), ("7", "007", "text"),
     ("7", "99999999999999999999", "number")],
)  # fmt: skip
def test_an_inferred_type_holds_for_every_row_and_widens_where_it_does_not(
    ask: Asking, common: str, odd: str, type_: str
) -> None:
    # Columns without a field keep an inferred type that must hold for every row of the file, not for a sample: where it does
    # not, the type widens (integer, number, text), and no row is lost to a guess.
    data = "a,b\n" + f"{common},\n" * FAR + f"{odd},\n"
    made = ask.long('steps: [{derive: {c: a, d: a is null, e: "coalesce(a, a)"}}, {drop: b}]', data)
    assert {column["name"]: column["type"] for column in made.outcome.columns}["e"] == type_
    assert made.outcome.row_count == FAR + 1
    assert made.lines[-1].startswith(f"{odd},{odd},false,")


def test_a_codes_column_stays_text(ask: Asking) -> None:
    # A codes column such as `00123` stays text.
    steps = """
    derive: {is_code: code = '00123', joined: code || 'x'}
    sort: -code
    """
    assert ask.steps(steps, "code\n00123\n9\n10\n") == [
        "code,is_code,joined",
        "9,false,9x",
        "10,false,10x",
        "00123,true,00123x",
    ]
    assert "text" in ask.refused_steps("derive: {a: code + 1}", "code\n00123\n")


def test_no_contract_at_all_is_valid(ask: Asking) -> None:
    # No contract at all is valid.
    assert ask.long("steps: []", "a,b\n1,x\n").lines == ["a,b", "1,x"]


UNTOUCHED = "a,b,c,d,e,f\n1.50,1e3,true,2024-01-31 10:00,-0.0,0.10\n2,-5,false,2024-01-31T10:00:00.5,1E-2,7\n"


@pytest.mark.parametrize(
    "steps",
    ["", "filter: a > 0", "sort: b", "derive: {x: a + 1}\ndrop: x", "distinct: true", "limit: 5",
     "rename: {a: z}\nrename: {z: a}",
     "top: {n: 9, by: c}\nsort: -b", "append: {reference: none}", "window: {columns: {x: count(*)}}\ndrop: x"],
)  # fmt: skip
def test_a_column_that_no_step_computes_is_written_as_it_was_read(ask: Asking, steps: str) -> None:
    # Types decide how a value counts, not how it is written: a column that no step computes and no contract field types is
    # written with the text that it was read with.
    lines = (
        ask.steps(steps, UNTOUCHED, none="a,b,c,d,e,f\n").copy() if steps else ask.long("", UNTOUCHED).lines
    )
    assert sorted(lines) == sorted(UNTOUCHED.splitlines())


def test_a_column_of_a_reference_is_written_as_it_was_read_too(ask: Asking) -> None:
    # a column that no step computes and no contract field types is written with the text that it was read with.
    steps = "lookup: {reference: r, match: [k], take: {x: v}}\nderive: {y: x * 2}"
    assert ask.steps(steps, "k\n1\n", r="k,v\n1,1.50\n") == ["k,x,y", "1,1.50,3"]


def test_types_decide_how_a_value_counts(ask: Asking) -> None:
    # Types decide how a value counts, not how it is written
    assert ask.steps("filter: a = 1.5\nsort: a", "a\n1.50\n2\n1.5\n") == ["a", "1.50", "1.5"]
    assert ask.steps("sort: a", "a\n10\n9\n") == ["a", "9", "10"]


def test_a_column_with_a_contract_field_is_written_by_its_type(ask: Asking) -> None:
    # a column that no step computes *and no contract field types* is written with the text that it was read with.
    date, money = (
        "{name: d, type: date, format: '%d/%m/%Y'}",
        "{name: m, type: decimal, precision: 9, scale: 2}",
    )
    fields = f"[{date}, {money}, {{name: n, type: number}}]"
    made = ask.long(f"input: {{schema: {{fields: {fields}}}}}", "d,m,n\n31/01/2024,1.5,1.50\n")
    assert made.lines == ["d,m,n", "2024-01-31,1.50,1.5"]


def test_computed_values_are_written_in_one_way(ask: Asking) -> None:
    # Computed values are written as the shortest number that reads back the same, decimals with their scale, ISO dates,
    # true/false, null as empty
    asked = {
        "0.5 * 3": "1.5", "cast(0.1 as number) + cast(0.2 as number)": "0.30000000000000004", "cast(30 as number) / 2": "15",
        "cast(1 as decimal(9, 3))": "1.000", "date '2024-01-31' + 1": "2024-02-01", "1 < 2": "true", "not true": "false",
        "cast(12345678 as number) * 10": "123456780", "datetime '2024-01-31 10:00'": "2024-01-31T10:00:00",
        "time '10:00'": "10:00:00",
    }  # fmt: skip
    assert dict(zip(asked, ask.values([*asked]), strict=True)) == asked
    assert ask.steps("derive: {n: nullif(x, 1), y: x}", "x\n1\n") == ["x,n,y", "1,,1"]


def test_csv_out_is_utf8_comma_lf_quoted_only_where_needed(ask: Asking) -> None:
    # CSV out is UTF-8, comma, LF, quoted only where needed.
    data = 'näme;b\r\n"é";"x,y"\r\n"say ""x""";" z "\r\n"two\nlines";"plain"\r\n'.encode("utf-16")
    ask.long("", data)
    written = (ask.folder / "report.csv").read_bytes()
    assert written == 'näme,b\né,"x,y"\n"say ""x""", z \n"two\nlines",plain\n'.encode()


def test_a_broken_contract_of_the_output_is_an_error_of_contracts(ask: Asking) -> None:
    # turned into pandera schemas: [...] on the output.
    assert isinstance(
        ask.failing("output: {schema: {fields: [{name: x, constraints: {maximum: 0}}]}}", "x\n1\n"),
        ContractError,
    )
