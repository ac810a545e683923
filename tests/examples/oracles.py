"""The example reports computed by pandas alone, row by row. They know nothing of the engine, so that they can contradict it.

`python -m tests.examples.oracles NAME` prints the report that `rules/NAME/expected.csv` is to hold.
"""

from __future__ import annotations

import csv
import io
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]


def files(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return input and reference of an example, every cell as text."""
    folder = ROOT / "rules" / name
    return tuple(
        pd.read_csv(folder / file, dtype=object, keep_default_na=False)
        for file in ("input.csv", "reference.csv")
    )


def number(text: str) -> float | None:
    """Read a cell as a number, or return None."""
    try:
        return float(text)
    except ValueError:
        return None


def shown(value: object) -> str:
    """Write a value as reports do."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


def looked_up(row: pd.Series, reference: pd.DataFrame, numeric: set[str]) -> dict[str, str]:
    """Return the cells of the reference's row for a row of the input, or defaults: the last key that matches counts."""
    keys = [name for name in row.index if name in reference.columns]
    found = {
        name: "0" if name in numeric else f"MISSING_{name}" for name in reference.columns if name not in keys
    }
    for key in keys:
        match = reference[(reference[key] == row[key]) & (reference[key] != "")]
        if len(match):
            found = match.iloc[0].drop(labels=keys).to_dict()
    return found


def added(left: str, right: str) -> object:
    """Add two cells that are numbers, join two that are not."""
    numbers = number(left), number(right)
    return left + right if None in numbers else numbers[0] + numbers[1]


def trade() -> list[dict[str, object]]:
    """Return the rows of the trade report."""
    table, reference = files("trade")
    rows = []
    for _, row in table.iterrows():
        data = looked_up(row, reference, {"refdata4"})
        largest = max(float(row["field5"]), float(data["refdata4"]))
        rows.append(
            {
                "outfield1": added(row["field1"], row["field2"]),
                "outfield2": data["refdata1"],
                "outfield3": added(data["refdata2"], data["refdata3"]),
                "outfield4": float(row["field3"]) * largest,
                "outfield5": largest,
            }
        )
    return rows


def seattle_weather() -> list[dict[str, object]]:
    """Return the rows of the weather report."""
    table, reference = files("seattle_weather")
    rows = []
    for _, row in table.iterrows():
        kind = looked_up(row, reference, {"outdoors"})
        day = datetime.strptime(row["date"], "%Y/%m/%d")
        rain, high, low, wind = (
            float(row[name]) for name in ("precipitation", "temp_max", "temp_min", "wind")
        )
        outdoors = float(kind["outdoors"])
        rows.append(
            {
                "day": day.date(),
                "quarter": f"Q{pd.Timestamp(day).quarter} {day.year}",
                "weather": kind["label"].upper() if rain > 20 else kind["label"],
                "sky": kind["icon"] * 3 if outdoors > 0 else "?",
                "precipitation": row["precipitation"],
                "mean_celsius": round((high + low) / 2, 1),
                "max_fahrenheit": round(high * 9 / 5 + 32, 1),
                "frost": low < 0,
                "felt": "hot" if high >= 30 else "mild" if high >= 12 else "cold",
                "outdoor_score": round(max(0.0, outdoors * 100 - max(wind - 5, 0.0) * 10), 0),
            }
        )
    return rows


EXAMPLES = {"trade": trade, "seattle_weather": seattle_weather}


def report(name: str) -> str:
    """Return an example's report as CSV."""
    rows = EXAMPLES[name]()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([shown(value) for value in row.values()] for row in rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.stdout.write(report(sys.argv[1]))
