"""The measured jobs: rules for `reportgen run`, and what people write by hand instead.

Every script does the same work on the same files and writes a CSV; none of them checks anything: no contract, no rejects, no
count of rows, and the types of columns are given to them. What does not belong here: running and comparing (`__main__.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

CONTRACT_RULES = """\
version: 1
title: Trade margins
input:
  schema:
    fields:
      - {name: trade_id, type: integer, constraints: {required: true, minimum: 0}}
      - {name: desk, type: string, constraints: {required: true, pattern: "D[0-9]{4}"}}
      - {name: product, type: string, constraints: {required: true, maxLength: 4}}
      - {name: quantity, type: integer, constraints: {required: true, minimum: 0, maximum: 1000000}}
      - {name: price, type: number, constraints: {required: true, minimum: 0}}
      - {name: traded, type: date, constraints: {required: true, minimum: "2000-01-01"}}
      - {name: note, type: string, constraints: {maxLength: 60}}
references:
  desks:
    schema:
      primaryKey: desk
      fields: [{name: desk, type: string}, {name: desk_name, type: string}, {name: fee, type: number}]
  products:
    schema:
      primaryKey: product
      fields: [{name: product, type: string}, {name: product_name, type: string}, {name: factor, type: number}]
steps:
  - lookup: {reference: desks, match: [desk], defaults: {desk_name: unknown, fee: 0}}
  - lookup: {reference: products, match: [product], defaults: {product_name: unknown, factor: 1}}
  - derive:
      label: desk_name || ' / ' || product_name
      gross: quantity * price
      net: gross * factor - fee
      size: case when gross > 100000 then 'large' else 'small' end
      year: year(traded)
output:
  columns: [trade_id, label, gross, net, size, year, note]
  schema: {fields: [{name: gross, constraints: {minimum: 0}}]}
rejects: {policy: divert, max: 1%}
"""

SHORT_RULES = """\
- {output: trade_id, formula: trade_id}
- {output: label, formula: "desk_name + ' / ' + product"}
- {output: gross, formula: quantity * price}
- {output: net, formula: quantity * price - fee}
- {output: best, formula: "max(price, fee)"}
- {output: size, formula: "'large' if quantity * price > 100000 else 'small'"}
"""

_DUCKDB = """
import duckdb
con = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
con.execute("SET disabled_optimizers = 'build_side_probe_side'")
TYPES = "types={'trade_id': 'BIGINT', 'quantity': 'BIGINT', 'price': 'DOUBLE', 'traded': 'DATE'}"
"""

DUCKDB_CONTRACT = """
con.execute("CREATE TABLE desks AS SELECT * FROM read_csv('desks.csv', types={'fee': 'DOUBLE'})")
con.execute("CREATE TABLE products AS SELECT * FROM read_csv('products.csv', types={'factor': 'DOUBLE'})")
con.execute(f'''COPY (
  SELECT trade_id, coalesce(desk_name, 'unknown') || ' / ' || coalesce(product_name, 'unknown') AS label,
         quantity * price AS gross, gross * coalesce(factor, 1) - coalesce(fee, 0) AS net,
         CASE WHEN gross > 100000 THEN 'large' ELSE 'small' END AS size, year(traded) AS year, note
  FROM read_csv('{input}', {TYPES}) i LEFT JOIN desks USING (desk) LEFT JOIN products USING (product)
) TO '{output}' (HEADER)''')
"""

DUCKDB_SHORT = """
con.execute("CREATE TABLE desks AS SELECT * FROM read_csv('desks.csv', types={'fee': 'DOUBLE'})")
con.execute(f'''COPY (
  SELECT trade_id, coalesce(desk_name, 'MISSING_desk_name') || ' / ' || product AS label,
         quantity * price AS gross, quantity * price - coalesce(fee, 0) AS net,
         greatest(price, coalesce(fee, 0)) AS best,
         CASE WHEN quantity * price > 100000 THEN 'large' ELSE 'small' END AS size
  FROM read_csv('{input}', {TYPES}) i LEFT JOIN desks USING (desk)
) TO '{output}' (HEADER)''')
"""

_POLARS = """
import polars as pl
types = {"trade_id": pl.Int64, "quantity": pl.Int64, "price": pl.Float64, "traded": pl.Date}
trades = pl.scan_csv("{input}", schema_overrides=types)
desks = pl.scan_csv("desks.csv", schema_overrides={"fee": pl.Float64})
"""

POLARS_CONTRACT = """
products = pl.scan_csv("products.csv", schema_overrides={"factor": pl.Float64})
joined = trades.join(desks, on="desk", how="left", maintain_order="left")
joined = joined.join(products, on="product", how="left", maintain_order="left")
gross = pl.col("quantity") * pl.col("price")
joined.select(
    "trade_id",
    label=pl.col("desk_name").fill_null("unknown") + " / " + pl.col("product_name").fill_null("unknown"),
    gross=gross,
    net=gross * pl.col("factor").fill_null(1.0) - pl.col("fee").fill_null(0.0),
    size=pl.when(gross > 100000).then(pl.lit("large")).otherwise(pl.lit("small")),
    year=pl.col("traded").dt.year(),
    note="note",
).sink_csv("{output}")
"""

POLARS_SHORT = """
joined = trades.join(desks, on="desk", how="left", maintain_order="left")
gross, fee = pl.col("quantity") * pl.col("price"), pl.col("fee").fill_null(0.0)
joined.select(
    "trade_id",
    label=pl.col("desk_name").fill_null("MISSING_desk_name") + " / " + pl.col("product"),
    gross=gross, net=gross - fee, best=pl.max_horizontal("price", fee),
    size=pl.when(gross > 100000).then(pl.lit("large")).otherwise(pl.lit("small")),
).sink_csv("{output}")
"""

_PANDAS = """
import numpy as np
import pandas as pd
trades = pd.read_csv("{input}", dtype={"trade_id": "int64", "quantity": "int64", "price": "float64"}, engine="pyarrow")
desks = pd.read_csv("desks.csv")
"""

PANDAS_CONTRACT = """
products = pd.read_csv("products.csv")
joined = trades.merge(desks, on="desk", how="left").merge(products, on="product", how="left")
gross = joined["quantity"] * joined["price"]
pd.DataFrame({
    "trade_id": joined["trade_id"],
    "label": joined["desk_name"].fillna("unknown") + " / " + joined["product_name"].fillna("unknown"),
    "gross": gross,
    "net": gross * joined["factor"].fillna(1.0) - joined["fee"].fillna(0.0),
    "size": np.where(gross > 100000, "large", "small"),
    "year": pd.to_datetime(joined["traded"]).dt.year,
    "note": joined["note"],
}).to_csv("{output}", index=False)
"""

PANDAS_SHORT = """
joined = trades.merge(desks, on="desk", how="left")
gross, fee = joined["quantity"] * joined["price"], joined["fee"].fillna(0.0)
pd.DataFrame({
    "trade_id": joined["trade_id"],
    "label": joined["desk_name"].fillna("MISSING_desk_name") + " / " + joined["product"],
    "gross": gross, "net": gross - fee, "best": np.maximum(joined["price"], fee),
    "size": np.where(gross > 100000, "large", "small"),
}).to_csv("{output}", index=False)
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work, told to each contender in its own words.

    Attributes:
        name: What it is called in the table.
        rules: For `reportgen run`.
        references: The files that the rules look up, as names of files in the bench's folder, by reference.
        scripts: Python source for each peer; `{input}` and `{output}` stand for files, other braces are meant.
    """

    name: str
    rules: str
    references: dict[str, str]
    scripts: dict[str, str]


def _scripts(duckdb: str, polars: str, pandas: str) -> dict[str, str]:
    return {"DuckDB": _DUCKDB + duckdb, "Polars streaming": _POLARS + polars, "pandas": _PANDAS + pandas}


JOBS = (
    Job(
        "two lookups, five formulas, contract",
        CONTRACT_RULES,
        {"desks": "desks.csv", "products": "products.csv"},
        _scripts(DUCKDB_CONTRACT, POLARS_CONTRACT, PANDAS_CONTRACT),
    ),
    Job(
        "short form, one lookup, no contract",
        SHORT_RULES,
        {"reference": "desks.csv"},
        _scripts(DUCKDB_SHORT, POLARS_SHORT, PANDAS_SHORT),
    ),
)
