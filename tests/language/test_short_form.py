"""Section `Short form`."""

from __future__ import annotations

import json

import pytest

from reportgen_dagster.errors import DuplicateKeyError, RulesError
from reportgen_dagster.rules.functions import FUNCTIONS
from reportgen_dagster.rules.reading.loading import load_ruleset
from tests.engine.making import rules
from tests.language.asking import LIMITS, Asking, Command, refused

INPUT = "f1,refkey1,refkey2\na,k1,m2\nb,k1,m9\nc,k9,m2\nd,k9,m9\n"
REFERENCE = "refkey1,refkey2,what,size\nk1,m1,one,5\nk2,m2,two,6\n"


def test_the_form_is_a_list_of_output_and_formula(ask: Asking) -> None:
    # a list of `{output, formula}`.
    made = ask.short("key,field1,field2\nk1,1,2\n", outfield1="field1 + field2")
    assert made.lines == ["outfield1", "3"]
    assert "`formula`" in refused("- {output: a}", version=False)
    assert "`output`" in refused("- {formula: a}", version=False)
    assert "title" in refused("- {output: a, formula: b, title: c}", version=False)


def test_the_samples_of_the_page_mean_what_they_say(ask: Asking) -> None:
    # - {output: outfield1, formula: field1 + field2} / - {output: outfield4, formula: field3 * max(field5, refdata4)}
    data = "field1,field2,field3,field5,refkey1\na,b,3,7,k1\n"
    formulas = {"outfield1": "field1 + field2", "outfield4": "field3 * max(field5, refdata4)"}
    assert ask.short(data, "refkey1,refdata4\nk1,5\n", **formulas).lines == ["outfield1,outfield4", "ab,21"]


def test_there_is_one_input_and_one_reference() -> None:
    # One input and one reference.
    assert rules(a="x").reference_names == ("reference",)


def test_every_shared_column_is_a_lookup_key_and_a_later_keys_columns_replace_an_earlier_keys(
    ask: Asking,
) -> None:
    # Every column name that both files share is a lookup key [...] all its columns come along; where several keys match, a
    # later key's columns replace an earlier key's.
    made = ask.short(INPUT, REFERENCE, f1="f1", what="what", size="size")
    assert made.lines == ["f1,what,size", "a,two,6", "b,one,5", "c,two,6", "d,MISSING_what,0"]


def test_keys_are_taken_in_the_inputs_column_order(ask: Asking) -> None:
    # taken in the input's column order (`refkey1`, then `refkey2`).
    turned = "f1,refkey2,refkey1\na,m2,k1\n"
    assert ask.short(turned, REFERENCE, what="what").lines == ["what", "one"]
    assert ask.short("f1,refkey1,refkey2\na,k1,m2\n", REFERENCE, what="what").lines == ["what", "two"]


def test_where_several_keys_match_a_null_cell_of_the_later_row_counts(ask: Asking) -> None:
    # where several keys match, a later key's columns replace an earlier key's.
    reference = "refkey1,refkey2,what\nk1,m1,one\nk2,m2,\n"
    assert ask.short("refkey1,refkey2,f\nk1,m2,a\n", reference, f="f", what="what").lines == ["f,what", "a,"]


def test_a_column_that_no_lookup_filled_is_0_where_numeric_else_missing(ask: Asking) -> None:
    # A reference column that no lookup filled has a default: `0` where the reference column is numeric, else the text
    # `MISSING_<column>`. Numeric means that every non-blank cell is a number
    reference = "key,n,t,mixed,gaps\nk1,1,a,1,2.5\nk2,-2e3,b,x,\n"
    made = ask.short("key\nnone\n", reference, n="n", t="t", mixed="mixed", gaps="gaps")
    assert made.lines == ["n,t,mixed,gaps", "0,MISSING_t,MISSING_mixed,0"]


def test_a_column_without_cells_is_numeric_if_a_formula_uses_it_as_a_number(ask: Asking) -> None:
    # where there is none to judge by, that some formula uses it as a number.
    reference = "key,used,unused\nk1,,\n"
    made = ask.short("key\nnone\n", reference, a="used", b="unused", c="used * 2")
    assert made.lines == ["a,b,c", "0,MISSING_unused,0"]


def test_a_duplicate_in_a_lookup_key_names_the_key_and_a_few_duplicates(ask: Asking) -> None:
    # A duplicate value in a lookup key of the reference is an error that names the key and a few duplicates.
    reference = "key,label\n" + "".join(f"k{n % 50},x\n" for n in range(100))
    with pytest.raises(DuplicateKeyError) as caught:
        ask.short("key\nk1\n", reference, a="label")
    assert "`key`" in caught.value.detail
    assert "'k" in caught.value.detail
    assert len(caught.value.detail) < 500


def test_formulas_have_names_numbers_and_texts_in_either_quotes(ask: Asking) -> None:
    # names of columns, numbers, texts in either quotes
    made = ask.short("key,x\nk1,5\n", a="x", b="1.5e2 + 0", c="'it' + \"'s\"", d="7 + x")
    assert made.lines == ["a,b,c,d", "5,150,it's,12"]


def test_operators_have_pythons_meaning(ask: Asking) -> None:
    # `+ - * / // % **` with Python's meaning (`//` rounds down, `%` takes the sign of the right side, `/` is never
    # whole-number division)
    cases = [
        "-7 // 2",
        "7 // -2",
        "-7 % 3",
        "7 % -3",
        "7 / 2",
        "6 / 2",
        "2 ** 10",
        "2 ** -1",
        "-2 ** 2",
        "2 + 3 * 4",
        "7 - 10",
    ]
    # With a column in it, a formula is not computed beforehand.
    formulas = {f"f{n}": f"{case} + zero" for n, case in enumerate(cases)}
    made = ask.short("key,zero\nk1,0\n", **formulas)
    assert [float(cell) for cell in made.lines[1].split(",")] == [float(eval(case)) for case in cases]  # noqa: S307 - Python's meaning is the question


def test_comparisons_logic_and_conditions(ask: Asking) -> None:
    # comparisons, `and or not`, `a if c else b`
    formulas = {
        "a": "x < 2 and x >= 1",
        "b": "x == 1 or x != 1",
        "c": "not x > 0",
        "d": "'small' if x <= 1 else 'large'",
        "e": "'a' if x > 5 else 'b' if x > 3 else 'c'",
    }
    assert ask.short("key,x\nk1,1\n", **formulas).lines[1] == "true,true,false,small,c"


def test_calls_of_max_min_abs_and_round(ask: Asking) -> None:
    # calls of `max`, `min` (two or more arguments), `abs`, `round` (half to even, as it was there)
    formulas = {
        "a": "max(x, 2)",
        "b": "min(x, 2, -3)",
        "c": "abs(0 - x)",
        "d": "round(x / 2)",
        "e": "round(x + 2 / 4)",
    }
    assert ask.short("key,x\nk1,5\n", **formulas).lines[1] == "5,-3,5,2,6"
    assert "max" in refused("- {output: a, formula: max(x)}", version=False)
    assert "min" in refused("- {output: a, formula: min(x)}", version=False)


def test_scalar_functions_of_the_long_form_may_be_called(ask: Asking) -> None:
    # and of any scalar function of the long form.
    formulas = {
        "a": "upper(name)",
        "b": "year(day)",
        "c": "coalesce(blank, 'none')",
        "d": "regex_extract(name, '[a-z]+')",
    }
    made = ask.short("key,name,day,blank\nk1,abc1,2024-01-31,\n", **formulas)
    assert made.lines[1] == "ABC1,2024,none,abc"


@pytest.mark.parametrize("name", ["sum", "row_number", "running_sum", "count"])
def test_other_functions_of_the_table_may_not(name: str) -> None:
    # and of any *scalar* function of the long form.
    assert name in refused(f"- {{output: a, formula: {name}(x)}}", version=False)


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('touch proof')", "open('proof', 'w')", "().__class__", "x.real", "x[0]", "lambda: 1",
        "[y for y in x]", "(y := 1)", "f'{x}'", "eval('1')", "x @ y", "x & y", "x << 2", "{x: 1}", "*x", "await x",
        "x if", "import os", "max(x, key=y)",
    ],
)  # fmt: skip
def test_nothing_but_the_allow_list_is_a_formula(formula: str) -> None:
    # It is parsed by Python's `ast` and translated through the same allow-list; nothing is ever evaluated in Python.
    assert refused(json.dumps([{"output": "a", "formula": formula}]), version=False)


def test_a_text_that_reads_as_a_number_counts_as_that_number(ask: Asking) -> None:
    # Cell by cell, a text that reads as a number counts as that number (`007` + `8` is 15), and `+` on two other texts joins them
    made = ask.short("key,a,b\nk1,007,8\nk1,x,y\nk1,1.5,2\n", s="a + b")
    assert made.lines == ["s", "15", "xy", "3.5"]


def test_a_column_of_one_kind_pays_nothing(ask: Asking) -> None:
    # a column whose cells are all of one kind pays nothing for it.
    one = ask.short("key,a,b\nk1,1,2\nk1,3,4\n", s="a + b").outcome.sql
    mixed = ask.short("key,a,b\nk1,1,2\nk1,x,y\n", s="a + b").outcome.sql
    assert len(one) < len(mixed) / 2
    assert "||" in mixed
    assert "||" not in one


def test_text_with_a_number_is_an_error_on_that_row(ask: Asking) -> None:
    # Text with a number is an error on that row.
    made = ask.short("key,a,b\nk1,1,2\nk1,x,2\nk1,3,y\nk1,5,6\n", s="a + b")
    assert made.lines == ["s", "3", "11"]
    assert [row["_line"] for row in made.rejects or ()] == ["3", "4"]


def test_a_formula_that_is_a_columns_name_writes_the_cell_as_read(ask: Asking) -> None:
    # A formula that is just a column's name writes the cell as it was read.
    made = ask.short(
        "key,a\nk1,007\nk1,1.50\nk1, x \nk1,\n", '"key",label\nk1,0012.0\n', a="a", label="label", k="key"
    )
    assert made.lines == ["a,label,k", "007,0012.0,k1", "1.50,0012.0,k1", " x ,0012.0,k1", ",0012.0,k1"]


def test_an_unknown_column_is_refused_when_rules_are_checked(ask: Asking, reportgen: Command) -> None:
    # A formula that names an unknown column is refused when the rules are checked, never written into a cell.
    text = "- {output: a, formula: amout + 1}\n"
    told = reportgen(
        "check",
        "rules.yaml",
        "-i",
        "input.csv",
        "-r",
        "ref.csv",
        rules=text,
        input="key,amount\nk1,1\n",
        ref="key\nk1\n",
    )
    assert (told.code, told.out) == (2, "")
    assert "unknown column `amout`; did you mean `amount`?" in told.err
    with pytest.raises(RulesError, match="amout"):
        ask.short("key,amount\nk1,1\n", a="amout + 1")


def test_a_formula_that_fails_on_a_row_sends_it_to_the_rejects(ask: Asking) -> None:
    # A formula that fails on a row (text where a number is needed, division by zero) sends that row to the rejects with the
    # formula, the values and the reason.
    made = ask.short("key,a,b\nk1,x,1\nk1,7,0\nk1,6,3\n", share="a / b")
    assert made.lines == ["share", "2"]
    told = [
        [row[name] for name in ("_line", "_column", "_rule", "_value", "_reason")]
        for row in made.rejects or ()
    ]
    assert told == [
        ["2", "share", "a / b", "a='x', b='1'", "text where a number is needed"],
        ["3", "share", "a / b", "a='7', b='0'", "division by zero"],
    ]


FORMULAS = {
    "a": "n // 2 + n % -3", "b": "round(n / 2)", "c": "max(n, empty)", "d": "t + t", "e": "m + 1 if n == 5 else m", "f": "m",
    "g": "label", "h": "'x' if t < 'b' and not n > 9 else t", "i": "n ** 2", "j": "min(t, 'b')",
}  # fmt: skip


def test_explain_shows_the_translation_which_is_a_valid_long_form(ask: Asking, reportgen: Command) -> None:
    # The short form is sugar: `reportgen explain` shows its translation, itself a valid long-form file.
    data = "key,n,t,m,empty\nk1,5,a,007,\nk9,-7,c,8,\n"
    ruleset = rules(**FORMULAS)
    shown = reportgen(
        "explain", "rules.yaml", rules=json.dumps([{"output": o, "formula": f} for o, f in FORMULAS.items()])
    )
    again = load_ruleset(shown.out)
    assert (shown.code, again.form, ruleset.form) == (0, "long", "short")
    first = ask.short(data, **FORMULAS)
    text = shown.out.partition("version: 1\n")[2]
    second = ask.long(text, data, limits=LIMITS, reference="key,label\nk1,one\nk2,two\n")
    assert second.report == first.report
    assert first.lines[1] == "1,2,,aa,8,007,one,x,25,a"


def test_what_only_the_short_form_means_are_functions_of_the_table(ask: Asking) -> None:
    # What only the short form means (cell-by-cell numbers, half-even round, Python's `//` and `%`, `max`/`min` that are null
    # where an argument is) are functions of the table.
    names = {
        "cell_number",
        "cell_add",
        "round_half_even",
        "floor_divide",
        "floor_modulo",
        "cell_max",
        "cell_min",
    }
    assert names <= set(FUNCTIONS)
    used = [
        "round_half_even(2.5)",
        "floor_divide(-7, 2)",
        "floor_modulo(-7, 2)",
        "coalesce(cell_max(1, null), 'none')",
    ]
    assert ask.values(used) == ["2", "-4", "1", "none"]


def test_max_and_min_are_null_where_an_argument_is(ask: Asking) -> None:
    # `max`/`min` that are null where an argument is
    assert ask.short("key,a,b\nk1,1,\n", x="max(a, b)", y="min(a, b)", z="a").lines[1] == ",,1"
