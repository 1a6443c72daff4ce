-- McNemar's two cells for every pair of scorers: rows that only the first, and only the second, decides right.
SELECT a.dataset, a.scorer AS first, b.scorer AS second, count(*) AS n,
    sum(((a.flagged = (a.label = 'unsafe')) AND (b.flagged <> (b.label = 'unsafe')))::INT) AS only_first,
    sum(((a.flagged <> (a.label = 'unsafe')) AND (b.flagged = (b.label = 'unsafe')))::INT) AS only_second
FROM results a JOIN results b USING (dataset, key)
WHERE a.setting = 'clean' AND b.setting = 'clean' AND a.scorer < b.scorer AND a.label IN ('safe', 'unsafe')
    AND a.test_set IN ('test', 'val')
GROUP BY ALL ORDER BY ALL
