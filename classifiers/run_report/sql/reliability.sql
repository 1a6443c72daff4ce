-- Ten bins of equal mass: what the classifier said on average, and how many were unsafe. On the diagonal a score is a probability.
WITH judged AS (
    SELECT scorer, score, (label = 'unsafe')::INT AS bad FROM results
    WHERE attack = 'none' AND setting = 'clean' AND label IN ('safe', 'unsafe') AND dataset = 'test' AND test_set = 'test'
), binned AS (
    SELECT *, ntile(10) OVER (PARTITION BY scorer ORDER BY score, bad) AS bin FROM judged
)
SELECT scorer, bin, count(*) AS pairs, avg(score) AS score, avg(bad) AS unsafe FROM binned GROUP BY ALL ORDER BY ALL
