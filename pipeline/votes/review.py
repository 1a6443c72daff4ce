"""What a person should look at first, as a query over derived labels."""

import duckdb
import pyarrow as pa

GOLD_EVERY = 20  # one item in so many is one whose truth is known, to measure the people (5 %, the usual share)

QUERY = """
WITH ranked AS (
    SELECT key, scope, label, decided_by, entropy, agreement, human_votes,
        -- Three doubts: judges disagree, the posterior is flat, nobody could say. People have decided after two equal votes.
        CASE WHEN decided_by = 'nobody' THEN 3.0 ELSE entropy + (1 - agreement) + (label = 'na')::INT END AS doubt,
        decided_by = 'gold' AS gold
    FROM labels
    WHERE escalated = 0 AND NOT (decided_by = 'human' AND human_votes >= 2 AND agreement > 0.5)
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY gold ORDER BY CASE WHEN gold THEN 0 ELSE doubt END DESC, md5(key || scope)) AS place
    FROM ranked
)
SELECT key, scope, round(doubt, 4) AS doubt, gold,
    CASE WHEN gold THEN 'gold' WHEN decided_by = 'nobody' THEN 'nobody voted' WHEN agreement < 1 THEN 'judges disagree'
        ELSE 'low posterior' END AS why
FROM numbered
ORDER BY CASE WHEN gold THEN place * $every - 1 ELSE place + (place - 1) // ($every - 1) END, gold DESC
LIMIT $count
"""


def for_review(labels: pa.Table, count: int) -> pa.Table:
    """key, scope, doubt, gold, why of the `count` items to look at first; escalated ones are for nobody's queue."""
    with duckdb.connect() as con:
        con.register("labels", labels)
        table: pa.Table = con.sql(QUERY, params={"count": count, "every": GOLD_EVERY}).to_arrow_table()
    return table
