-- Where the units were made. L1: the same bytes on the same hardware and versions; L2: alike (docs/reference/promises.md).
SELECT round, level, torch, count(DISTINCT unit) AS units, sum(samples) AS samples, round(sum(bytes) / 1e6, 1) AS megabytes
FROM (SELECT DISTINCT round, unit, level, torch, samples, bytes FROM receipts) GROUP BY ALL ORDER BY ALL
