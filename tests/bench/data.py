"""Generated files for measurements: the same bytes for the same size, skewed keys, two in a hundred without a partner.

DuckDB makes them from hashes of row numbers, so that a gigabyte takes seconds.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

DESKS = 2_000
PRODUCTS = 500
_TRADE_BYTES = 62  # of a row, on average
_QUESTION_BYTES = 47

_TRADES = """
COPY (
  SELECT i AS trade_id,
         -- the cube of an even distribution: few desks have most of the trades; the last 2 in 100 are in no reference
         CASE WHEN hash(i, 1) % 100 < 2 THEN printf('D%04d', 9000 + hash(i, 2) % 500)
              ELSE printf('D%04d', (pow(hash(i, 3) % 1000000 / 1e6, 3) * {desks})::BIGINT) END AS desk,
         CASE WHEN hash(i, 4) % 100 < 2 THEN printf('X%03d', hash(i, 5) % 900)
              ELSE printf('P%03d', (pow(hash(i, 6) % 1000000 / 1e6, 3) * {products})::BIGINT) END AS product,
         hash(i, 7) % 1000 AS quantity,
         printf('%.2f', (hash(i, 8) % 100000) / 100.0) AS price,
         DATE '2020-01-01' + (hash(i, 9) % 2000)::INTEGER AS traded,
         'note ' || (hash(i, 10) % 10007) || ' of this trade' AS note
  FROM range({rows}) t(i) ORDER BY i
) TO '{path}' (HEADER)
"""

_DESKS = """
COPY (SELECT printf('D%04d', i) AS desk, 'Desk ' || i AS desk_name, printf('%.2f', i / 8.0) AS fee
      FROM range({desks} + 1) t(i) ORDER BY i) TO '{path}' (HEADER)
"""

_PRODUCTS = """
COPY (SELECT printf('P%03d', i) AS product, 'Product ' || i AS product_name, printf('%.3f', 1 + i / 1000.0) AS factor
      FROM range({products} + 1) t(i) ORDER BY i) TO '{path}' (HEADER)
"""

# The columns of db-benchmark's group-by data: few, many and very many groups, as texts and as numbers.
_QUESTIONS = """
COPY (
  SELECT printf('id%03d', hash(i, 1) % 100 + 1) AS id1, printf('id%03d', hash(i, 2) % 100 + 1) AS id2,
         printf('id%010d', hash(i, 3) % greatest({rows} // 100, 1) + 1) AS id3,
         hash(i, 4) % 100 + 1 AS id4, hash(i, 5) % 100 + 1 AS id5, hash(i, 6) % greatest({rows} // 100, 1) + 1 AS id6,
         hash(i, 7) % 5 + 1 AS v1, hash(i, 8) % 15 + 1 AS v2, printf('%.6f', (hash(i, 9) % 100000000) / 1e6) AS v3
  FROM range({rows}) t(i) ORDER BY i
) TO '{path}' (HEADER)
"""

_SMALL = "COPY (SELECT i AS id4, 'small ' || i AS name4, i * 1.5 AS w4 FROM range(1, 91) t(i)) TO '{path}' (HEADER)"
_LARGE = """
COPY (SELECT printf('id%010d', i) AS id3, 'large ' || i AS name3, i * 0.25 AS w3
      FROM range(1, greatest({rows} // 100, 1) * 9 // 10 + 2) t(i)) TO '{path}' (HEADER)
"""


def trade_files(folder: Path, megabytes: int) -> dict[str, Path]:
    """Write the trades and their two references, unless they are there; return them by name."""
    rows = megabytes * 1_000_000 // _TRADE_BYTES
    return {
        "input": _written(folder / f"trades_{megabytes}.csv", _TRADES, rows),
        "desks": _written(folder / "desks.csv", _DESKS, rows),
        "products": _written(folder / "products.csv", _PRODUCTS, rows),
    }


def question_files(folder: Path, megabytes: int) -> dict[str, Path]:
    """Write the files of the group-by and join questions, unless they are there; return them by name."""
    rows = megabytes * 1_000_000 // _QUESTION_BYTES
    return {
        "input": _written(folder / f"groups_{megabytes}.csv", _QUESTIONS, rows),
        "small": _written(folder / "small.csv", _SMALL, rows),
        "large": _written(folder / f"large_{megabytes}.csv", _LARGE, rows),
    }


def _written(path: Path, statement: str, rows: int) -> Path:
    if not path.exists():
        part = path.with_suffix(".part")
        filled = statement.format(rows=rows, desks=DESKS, products=PRODUCTS, path=part)
        with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
            connection.execute(filled)
        part.replace(path)
    return path
