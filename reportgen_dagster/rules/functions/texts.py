"""Functions of texts, and what they make of regular expressions.

What belongs here: parts, padding, letters, patterns. What does not: reading a text as something else (conversion.py).
Every text that is made has at most 100,000 characters; that is an error on the row.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.given import (
    checks_of,
    sized,
    sql_of,
    whole_number,
    written_integer,
    written_text,
)
from reportgen_dagster.rules.functions.table import Build, Function, alias, scalar
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    MAX_TEXT,
    TEXT_TOO_LONG,
    Check,
    UnfitError,
    Value,
    all_of,
    any_of,
    binary,
    call,
    case,
    cast,
    is_null,
    is_present,
    negated,
    text,
    whole,
)

_WORDS = r"[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+"
_MAX_DISTANCE_WORK = 1_000_000


def text_function(name: str) -> Build:
    """Make a text of DuckDB's function of this name."""
    return lambda _, values: Value("text", call(name, *sql_of(values)), checks=checks_of(values))


def test_function(name: str) -> Build:
    """Make true or false of DuckDB's function of this name."""
    return lambda _, values: Value("boolean", call(name, *sql_of(values)), checks=checks_of(values))


def count_function(name: str) -> Build:
    """Make a whole number of DuckDB's function of this name, which counts characters."""
    return lambda _, values: Value(
        "integer", cast(call(name, *sql_of(values)), "BIGINT"), 2.0**40, checks=checks_of(values)
    )


def concat(layers: Layers, values: Sequence[Value]) -> Value:
    """Join texts, leaving out nulls."""
    named = [layers.bind(value.sql) for value in values]
    return sized(values, _total(named), call("concat", *named))


def concat_ws(layers: Layers, values: Sequence[Value]) -> Value:
    """Join texts by a separator, leaving out nulls."""
    separator, *named = (layers.bind(value.sql) for value in values)
    between = binary(exp.Mul, _length(separator), whole(len(named) - 1))
    size = binary(exp.Add, _total(named), between)
    made = case((is_present(separator), call("concat_ws", separator, *named)))
    return sized(values, size, made)


def _length(plain: Expr) -> Expr:
    return call("coalesce", call("length", plain), whole(0))


def _total(texts: Sequence[Expr]) -> Expr:
    total = _length(texts[0])
    for plain in texts[1:]:
        total = exp.Add(this=total, expression=_length(plain))
    return total


def _refuse_too_many(count: Value) -> None:
    """Refuse a written-out count of characters that no text may have."""
    if isinstance(count.sql, exp.Literal) and int(str(count.sql.this)) > MAX_TEXT:
        raise UnfitError(TEXT_TOO_LONG)


def repeat(layers: Layers, values: Sequence[Value]) -> Value:
    """Repeat a text."""
    _refuse_too_many(values[1])
    times = call("greatest", values[1].sql, whole(0))
    plain = layers.bind(values[0].sql)
    times = case((is_present(values[1].sql), times))
    return sized(values, binary(exp.Mul, call("length", plain), times), call("repeat", plain, times))


def replace(layers: Layers, values: Sequence[Value]) -> Value:
    """Replace a part everywhere."""
    plain, new = layers.bind(values[0].sql), layers.bind(values[2].sql)
    growth = call("greatest", call("length", new), whole(1))
    return sized(
        values, binary(exp.Mul, call("length", plain), growth), call("replace", plain, values[1].sql, new)
    )


def pad(name: str) -> Build:
    """Fill a text up to a length on one side; a longer text stays whole."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        _refuse_too_many(values[1])
        plain, length = layers.bind(values[0].sql), values[1].sql
        fill = layers.bind(values[2].sql if len(values) > 2 else text(" "))
        short = all_of(
            (binary(exp.LT, call("length", plain), length), binary(exp.GT, call("length", fill), whole(0)))
        )
        padded = call(name, plain, cast(length, "INTEGER"), fill)
        made = case((short, padded), (is_present(length), plain))
        return sized(values, length, case((is_present(fill), made)))

    return build


def slice_from(layers: Layers, values: Sequence[Value]) -> Value:
    """Return a part of a text, by the number of its first character, from 1."""
    start = layers.bind(values[1].sql)
    check = Check(binary(exp.LT, start, whole(1)), text("the first character has number 1"))
    first = case((is_present(start), call("greatest", start, whole(1))))
    rest = [_from_zero(values[2].sql)] if len(values) > 2 else []
    made = call("substring", values[0].sql, first, *rest)
    return Value("text", made, checks=(*checks_of(values), check))


def _from_zero(count: Expr) -> Expr:
    """Return a count, 0 where it is below and null where it is null."""
    return case((binary(exp.LT, count, whole(0)), whole(0)), default=count)


def end(name: str) -> Build:
    """Return so many characters of one end."""
    return lambda _, values: Value(
        "text", call(name, values[0].sql, _from_zero(values[1].sql)), checks=checks_of(values)
    )


def title_case(_: Layers, values: Sequence[Value]) -> Value:
    """Write each word with a capital first."""
    word = exp.to_identifier("word")
    capital = call("upper", call("left", word, whole(1)))
    rest = call("lower", call("substring", word, whole(2)))
    joined = exp.Lambda(this=exp.DPipe(this=capital, expression=rest), expressions=[word], colon=True)
    words = call("regexp_extract_all", values[0].sql, text(_WORDS))
    made = call("array_to_string", call("list_transform", words, joined), text(""))
    return Value("text", made, checks=values[0].checks)


def squish(_: Layers, values: Sequence[Value]) -> Value:
    """Trim a text and make one space of each run of white space."""
    single = call("regexp_replace", values[0].sql, text(r"[\s\p{Z}]+"), text(" "), text("g"))
    return Value("text", call("trim", single), checks=values[0].checks)


def occurrences(layers: Layers, values: Sequence[Value]) -> Value:
    """Count how often a part is in a text, without overlaps."""
    plain, part = layers.bind(values[0].sql), layers.bind(values[1].sql)
    lost = binary(exp.Sub, call("length", plain), call("length", call("replace", plain, part, text(""))))
    made = exp.IntDiv(this=exp.Paren(this=lost), expression=call("length", part))
    none = binary(exp.EQ, part, text(""))
    return Value(
        "integer", cast(case((none, whole(0)), default=made), "BIGINT"), 2.0**40, checks=checks_of(values)
    )


def char_code(_: Layers, values: Sequence[Value]) -> Value:
    """Return the code point of the first character."""
    plain = values[0].sql
    made = case((binary(exp.NEQ, plain, text("")), call("unicode", plain)))
    return Value("integer", cast(made, "BIGINT"), 2.0**21, checks=values[0].checks)


def char(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the character of a code point."""
    code, checks = whole_number(layers, values[0], "there is no such character")
    plane = exp.Between(this=code, low=whole(1), high=whole(0x10FFFF))
    surrogate = exp.Between(this=code, low=whole(0xD800), high=whole(0xDFFF))
    valid = layers.bind(all_of((plane, negated(surrogate))), "valid")
    wrong = Check(negated(valid), text("there is no such character"))
    return Value("text", case((valid, call("chr", cast(code, "INTEGER")))), checks=(*checks, wrong))


def translate(_: Layers, values: Sequence[Value]) -> Value:
    """Replace characters one by one."""
    return Value("text", call("translate", *sql_of(values)), checks=checks_of(values))


def distance(layers: Layers, values: Sequence[Value]) -> Value:
    """Count the characters to change from one text to another."""
    sides = [layers.bind(value.sql) for value in values]
    work = binary(exp.Mul, call("length", sides[0]), call("length", sides[1]))
    fits = layers.bind(binary(exp.LTE, work, whole(_MAX_DISTANCE_WORK)), "fits")
    check = Check(negated(fits), text("the texts are too long to be compared letter by letter"))
    made = cast(case((fits, call("levenshtein", *sides))), "BIGINT")
    return Value("integer", made, float(MAX_TEXT), checks=(*checks_of(values), check))


def split_part(_: Layers, values: Sequence[Value]) -> Value:
    """Return a part between separators, from 1; empty where there is none."""
    return Value("text", call("split_part", *sql_of(values)), checks=checks_of(values))


# regular expressions


def regex_test(name: str) -> Build:
    """Tell whether a pattern matches, by DuckDB's function of this name."""
    return lambda _, values: Value("boolean", call(name, *sql_of(values)), checks=checks_of(values))


def regex_extract(layers: Layers, values: Sequence[Value]) -> Value:
    """Return what a pattern, or a group of it, matched first; null where it matches nowhere."""
    plain = layers.bind(values[0].sql)
    group = whole(written_integer(values[2]) if len(values) > 2 else 0)
    found = call("regexp_extract", plain, values[1].sql, group)
    made = case((call("regexp_matches", plain, values[1].sql), found))
    return Value("text", made, checks=checks_of(values))


def regex_replace(layers: Layers, values: Sequence[Value]) -> Value:
    """Replace every match."""
    plain, new = layers.bind(values[0].sql), written_text(values[2])
    growth = whole(len(new) + 1 if "\\" not in new else (len(new) + 1) * 2)
    size = binary(exp.Mul, binary(exp.Add, call("length", plain), whole(1)), growth)
    return sized(values, size, call("regexp_replace", plain, values[1].sql, values[2].sql, text("g")))


def regex_count(_: Layers, values: Sequence[Value]) -> Value:
    """Count the matches."""
    found = call("array_length", call("regexp_extract_all", *sql_of(values)))
    return Value("integer", cast(found, "BIGINT"), 2.0**40, checks=checks_of(values))


def regex_split_part(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the part of a number between matches, counted from 1; empty where there is none."""
    plain, number = layers.bind(values[0].sql), layers.bind(values[2].sql)
    part = call("list_extract", call("regexp_split_to_array", plain, values[1].sql), number)
    known = negated(any_of((is_null(plain), is_null(number))))
    inside = binary(exp.GTE, number, whole(1))
    made = case((all_of((known, inside)), call("coalesce", part, text(""))), (known, text("")))
    return Value("text", made, checks=checks_of(values))


_TEXTS = scalar(
    "text",
    (
        ("upper", "text:text", "text",
         "In capitals.",
         "upper('abc')", "ABC", text_function("upper")),
        ("lower", "text:text", "text",
         "In small letters.",
         "lower('ABC')", "abc", text_function("lower")),
        ("title_case", "text:text", "text",
         "Each word with a capital first and small letters behind; a word is letters and digits in a row.",
         "title_case('north SEA desk')", "North Sea Desk", title_case),
        ("trim", "text:text", "text",
         "Without spaces at both ends.",
         "trim('  a b ')", "a b", text_function("trim")),
        ("trim_left", "text:text", "text",
         "Without spaces at the beginning.",
         "trim_left('  ab')", "ab", text_function("ltrim")),
        ("trim_right", "text:text", "text",
         "Without spaces at the end.",
         "trim_right('ab  ')", "ab", text_function("rtrim")),
        ("squish", "text:text", "text",
         "Without white space at both ends, and one space for each run of it inside.",
         "squish('  a   b ')", "a b", squish),
        ("length", "text:text", "integer",
         "How many characters it has.",
         "length('Zürich')", "6", count_function("length")),
        ("left", "text:text count:count", "text",
         "So many characters of the beginning; none for a count below 0.",
         "left('report', 3)", "rep", end("left")),
        ("right", "text:text count:count", "text",
         "So many characters of the end; none for a count below 0.",
         "right('report', 3)", "ort", end("right")),
        ("substring", "text:text start:count count:count?", "text",
         "The part from a character on, counted from 1; an error for a start below 1.",
         "substring('report', 3, 2)", "po", slice_from),
        ("replace", "text:text part:text new:text", "text",
         "With a part replaced everywhere; an error where that could exceed 100000 characters.",
         "replace('1-2-3', '-', '.')", "1.2.3", replace),
        ("translate", "text:text from:text to:text", "text",
         "With each character of `from` replaced by the one in the same place of `to`, or left out where there is none.",
         "translate('1.234,5', '.,', ',.')", "1,234.5", translate),
        ("contains", "text:text part:text", "true or false",
         "Whether the part is in it.",
         "contains('report', 'por')", "true", test_function("contains")),
        ("starts_with", "text:text part:text", "true or false",
         "Whether it begins with the part.",
         "starts_with('report', 're')", "true", test_function("starts_with")),
        ("ends_with", "text:text part:text", "true or false",
         "Whether it ends with the part.",
         "ends_with('report', 're')", "false", test_function("ends_with")),
        ("position", "text:text part:text", "integer",
         "Where the part begins, counted from 1; 0 where it is not in it.",
         "position('report', 'port')", "3", count_function("strpos")),
        ("count_text", "text:text part:text", "integer",
         "How often the part is in it, without overlaps.",
         "count_text('a,b,c', ',')", "2", occurrences),
        ("repeat", "text:text count:count", "text",
         "So many times; at most 100000 characters.",
         "repeat('ab', 3)", "ababab", repeat),
        ("pad_left", "text:text length:count fill:text?", "text",
         "Filled at the beginning up to a length; a longer text stays whole.",
         "pad_left('7', 3, '0')", "007", pad("lpad")),
        ("pad_right", "text:text length:count fill:text?", "text",
         "Filled at the end up to a length; a longer text stays whole.",
         "pad_right('7', 3, '.')", "7..", pad("rpad")),
        ("reverse", "text:text", "text",
         "From its end to its beginning.",
         "reverse('abc')", "cba", text_function("reverse")),
        ("split_part", "text:text separator:text number:count", "text",
         "The part of this number between separators, counted from 1, from the end for -1; empty where there is none.",
         "split_part('a/b/c', '/', 2)", "b", split_part),
        ("concat", "text:text text:text...", "text",
         "The texts joined; nulls are left out.",
         "concat('a', null, 'b')", "ab", concat),
        ("concat_ws", "separator:text text:text text:text...", "text",
         "The texts joined with a separator between them; nulls are left out.",
         "concat_ws('-', 'a', null, 'b')", "a-b", concat_ws),
        ("remove_accents", "text:text", "text",
         "Letters without accents and the like.",
         "remove_accents('Zürich')", "Zurich", text_function("strip_accents")),
        ("edit_distance", "text:text other:text", "integer",
         "How many characters must be put in, taken out or changed (Levenshtein); an error for texts of many thousand"
         " characters.",
         "edit_distance('kitten', 'sitting')", "3", distance),
        ("char_code", "text:text", "integer",
         "The code point of the first character; null for an empty text.",
         "char_code('A')", "65", char_code),
        ("char", "code:number", "text",
         "The character that has this code point; an error where there is none.",
         "char(65)", "A", char),
        ("md5", "text:text", "text",
         "The MD5 digest of its UTF-8 bytes in hexadecimal.",
         "md5('a')", "0cc175b9c0f1b6a831c399e269772661", text_function("md5")),
        ("sha256", "text:text", "text",
         "The SHA-256 digest of its UTF-8 bytes in hexadecimal.",
         "left(sha256('a'), 16)", "ca978112ca1bbdca", text_function("sha256")),
    ),
)  # fmt: skip
_PATTERNS = scalar(
    "regular expressions",
    (
        ("regex_matches", "text:text pattern:pattern", "true or false",
         "Whether the pattern matches anywhere.",
         "regex_matches('T-007', '^T-[0-9]+$')", "true", regex_test("regexp_matches")),
        ("regex_full_match", "text:text pattern:pattern", "true or false",
         "Whether the pattern matches the whole text.",
         "regex_full_match('T-007', '[0-9]+')", "false", regex_test("regexp_full_match")),
        ("regex_extract", "text:text pattern:pattern group:digits?", "text",
         "What the pattern or a group of it matches first; null where it does not.",
         "regex_extract('T-007', '([A-Z])-([0-9]+)', 2)", "007", regex_extract),
        ("regex_replace", "text:text pattern:pattern new:literal", "text",
         "With every match replaced; `\\1` is its first group.",
         "regex_replace('a1b22', '[0-9]+', '#')", "a#b#", regex_replace),
        ("regex_count", "text:text pattern:pattern", "integer",
         "How often the pattern matches, without overlaps.",
         "regex_count('a1b22', '[0-9]+')", "2", regex_count),
        ("regex_split_part", "text:text pattern:pattern number:count", "text",
         "The part of this number between matches, counted from 1; empty where there is none.",
         "regex_split_part('a1b22c', '[0-9]+', 3)", "c", regex_split_part),
    ),
)  # fmt: skip
_BY_NAME = {entry.name: entry for entry in (*_TEXTS, *_PATTERNS)}
ENTRIES: tuple[Function, ...] = (
    *_TEXTS,
    alias("initcap", _BY_NAME["title_case"], "initcap('north SEA desk')"),
    alias("ltrim", _BY_NAME["trim_left"], "ltrim('  ab')"),
    alias("rtrim", _BY_NAME["trim_right"], "rtrim('ab  ')"),
    alias("char_length", _BY_NAME["length"], "char_length('Zürich')"),
    alias("substr", _BY_NAME["substring"], "substr('report', 3, 2)"),
    alias("strpos", _BY_NAME["position"], "strpos('report', 'port')"),
    alias("lpad", _BY_NAME["pad_left"], "lpad('7', 3, '0')"),
    alias("rpad", _BY_NAME["pad_right"], "rpad('7', 3, '.')"),
    *_PATTERNS,
    alias("regexp_replace", _BY_NAME["regex_replace"], "regexp_replace('a1b22', '[0-9]+', '#')"),
    alias("regexp_matches", _BY_NAME["regex_matches"], "regexp_matches('T-007', '^T-[0-9]+$')"),
)
