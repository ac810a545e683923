"""Ten questions over one large file, in the manner of db-benchmark: seven group-bys and three joins.

Each is asked in rules, in SQL and in Polars.
"""

from __future__ import annotations

from tests.bench.jobs import Job

_DUCKDB = """
import duckdb
con = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
con.execute("SET disabled_optimizers = 'build_side_probe_side'")
for name, path in {references}.items():
    con.execute(f"CREATE TABLE {name} AS SELECT * FROM read_csv('{path}', sample_size=-1)")
con.execute('''CREATE VIEW x AS SELECT * FROM read_csv('{input}', auto_detect=false, header=true, columns={
  'id1': 'VARCHAR', 'id2': 'VARCHAR', 'id3': 'VARCHAR', 'id4': 'BIGINT', 'id5': 'BIGINT', 'id6': 'BIGINT',
  'v1': 'BIGINT', 'v2': 'BIGINT', 'v3': 'DOUBLE'})''')
con.execute('''COPY (
{query}
) TO '{output}' (HEADER)''')
"""

_POLARS = """
import polars as pl
from polars import col, len
files = {references}
types = {"id4": pl.Int64, "id5": pl.Int64, "id6": pl.Int64, "v1": pl.Int64, "v2": pl.Int64, "v3": pl.Float64}
x = pl.scan_csv("{input}", schema_overrides=types)
{query}
result.sink_csv("{output}")
"""

# name, references, steps of the rules, SQL, Polars
_TABLE: tuple[tuple[str, dict[str, str], str, str, str], ...] = (
    (
        "sum by 100 groups",
        {},
        "- aggregate: {by: id1, measures: {v1: sum(v1)}}",
        "SELECT id1, sum(v1) AS v1 FROM x GROUP BY id1",
        "result = x.group_by('id1').agg(col('v1').sum())",
    ),
    (
        "sum by 10,000 groups",
        {},
        "- aggregate: {by: [id1, id2], measures: {v1: sum(v1)}}",
        "SELECT id1, id2, sum(v1) AS v1 FROM x GROUP BY id1, id2",
        "result = x.group_by('id1', 'id2').agg(col('v1').sum())",
    ),
    (
        "sum and mean by many groups",
        {},
        "- aggregate: {by: id3, measures: {v1: sum(v1), v3: avg(v3)}}",
        "SELECT id3, sum(v1) AS v1, avg(v3) AS v3 FROM x GROUP BY id3",
        "result = x.group_by('id3').agg(col('v1').sum(), col('v3').mean())",
    ),
    (
        "three means by 100 groups",
        {},
        "- aggregate: {by: id4, measures: {v1: avg(v1), v2: avg(v2), v3: avg(v3)}}",
        "SELECT id4, avg(v1) AS v1, avg(v2) AS v2, avg(v3) AS v3 FROM x GROUP BY id4",
        "result = x.group_by('id4').agg(col('v1').mean(), col('v2').mean(), col('v3').mean())",
    ),
    (
        "median and deviation",
        {},
        "- aggregate: {by: [id4, id5], measures: {median: median(v3), deviation: stddev(v3)}}",
        "SELECT id4, id5, median(v3) AS median, stddev(v3) AS deviation FROM x GROUP BY id4, id5",
        "result = x.group_by('id4', 'id5').agg(median=col('v3').median(), deviation=col('v3').std())",
    ),
    (
        "range by many groups",
        {},
        "- aggregate: {by: id3, measures: {range: max(v1) - min(v2)}}",
        "SELECT id3, max(v1) - min(v2) AS range FROM x GROUP BY id3",
        "result = x.group_by('id3').agg(range=col('v1').max() - col('v2').min())",
    ),
    (
        "two largest of each group",
        {},
        "- top: {n: 2, by: [-v3], per: [id6]}\n  - select: [id6, v3]",
        "SELECT id6, v3 FROM (SELECT id6, v3, row_number() OVER (PARTITION BY id6 ORDER BY v3 DESC) AS r FROM x) WHERE r <= 2",
        "result = x.group_by('id6').agg(col('v3').top_k(2)).explode('v3')",
    ),
    (
        "inner join with a small file",
        {"small": "small"},
        "- join: {reference: small, match: [id4]}\n  - aggregate: {by: name4, measures: {rows: count(*), v: sum(v1 * w4)}}",
        "SELECT name4, count(*) AS rows, sum(v1 * w4) AS v FROM x JOIN small USING (id4) GROUP BY name4",
        "s = pl.scan_csv(files['small'])\n"
        "result = x.join(s, on='id4').group_by('name4').agg(rows=len(), v=(col('v1') * col('w4')).sum())",
    ),
    (
        "left join with a large file",
        {"large": "large"},
        "- join: {reference: large, match: [id3], how: left}\n"
        "  - aggregate: {by: id1, measures: {rows: count(*), found: count(name3), w: sum(w3)}}",
        "SELECT id1, count(*) AS rows, count(name3) AS found, sum(w3) AS w FROM x LEFT JOIN large USING (id3) GROUP BY id1",
        "s = pl.scan_csv(files['large'])\n"
        "result = x.join(s, on='id3', how='left').group_by('id1')"
        ".agg(rows=len(), found=col('name3').count(), w=col('w3').sum())",
    ),
    (
        "inner join, all rows written",
        {"large": "large"},
        "- join: {reference: large, match: [id3]}\n  - select: [id1, id3, name3, v3]",
        "SELECT id1, id3, name3, v3 FROM x JOIN large USING (id3)",
        "s = pl.scan_csv(files['large']).select('id3', 'name3')\n"
        "result = x.join(s, on='id3', maintain_order='left').select('id1', 'id3', 'name3', 'v3')",
    ),
)


def questions(files: dict[str, str]) -> list[Job]:
    """Return the questions as jobs, over files with these names."""
    return [_question(row, files) for row in _TABLE]


def _question(row: tuple[str, dict[str, str], str, str, str], files: dict[str, str]) -> Job:
    name, names, steps, query, polars = row
    references = {reference: files[file] for reference, file in names.items()}
    scripts = {"DuckDB": (_DUCKDB, query), "Polars streaming": (_POLARS, polars)}
    return Job(
        name,
        f"version: 1\nsteps:\n  {steps}\n",
        references,
        {
            peer: script.replace("{references}", repr(references)).replace("{query}", text)
            for peer, (script, text) in scripts.items()
        },
    )
