-- What each labeller answered, by scope.
SELECT scope, annotator, count(*) AS votes, count(*) FILTER (label = 'unsafe') AS unsafe, count(*) FILTER (label = 'safe') AS safe,
    count(*) FILTER (label IS NULL OR label NOT IN ('safe', 'unsafe')) AS no_answer
FROM votes GROUP BY ALL ORDER BY ALL
