-- Every two labellers that judged the same scope of the same samples: share of equal answers, and Cohen's kappa (chance taken out).
WITH voted AS (
    SELECT key, scope, annotator, arg_max(label, time) AS label FROM votes WHERE label IN ('safe', 'unsafe') GROUP BY ALL
), met AS (
    SELECT a.scope, a.annotator AS first, b.annotator AS second, (a.label = 'unsafe')::INT AS x, (b.label = 'unsafe')::INT AS y
    FROM voted a JOIN voted b USING (key, scope) WHERE a.annotator < b.annotator
), shares AS (
    SELECT scope, first, second, count(*) AS samples, avg((x = y)::INT) AS equal,
        avg(x) * avg(y) + (1 - avg(x)) * (1 - avg(y)) AS by_chance
    FROM met GROUP BY ALL
)
SELECT scope, first, second, samples, round(equal, 3) AS equal, round((equal - by_chance) / nullif(1 - by_chance, 0), 3) AS kappa
FROM shares ORDER BY ALL
