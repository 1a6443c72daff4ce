-- Where each classifier errs on clean rows: the twenty clusters of source and style with most errors.
SELECT results.scorer, results.source, coalesce(results.style, 'none') AS style, results.label AS truth, count(*) AS pairs,
    count(*) FILTER (flagged <> (results.label = 'unsafe')) AS errors,
    round(avg((flagged <> (results.label = 'unsafe'))::INT), 3) AS error_rate
FROM results WHERE attack = 'none' AND results.label IN ('safe', 'unsafe')
GROUP BY ALL HAVING errors > 0 ORDER BY errors DESC, results.scorer, results.source, style LIMIT 20
