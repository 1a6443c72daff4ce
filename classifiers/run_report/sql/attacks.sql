-- The variants that attacks left in the run.
SELECT attack.name AS attack, attack.family AS family, count(*) AS variants, count(DISTINCT parent) AS parents,
    count(*) FILTER (pair_label = 'unsafe') AS unsafe, count(*) FILTER (kept) AS kept
FROM samples WHERE NOT clean GROUP BY ALL ORDER BY ALL
