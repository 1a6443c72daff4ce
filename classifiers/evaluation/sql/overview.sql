-- Decisions on clean rows of the test set itself (no held-out set, no control), by root: what the overview is made of.
SELECT scorer, root, sum((flagged AND label = 'unsafe')::INT)::DOUBLE AS caught, sum((flagged AND label = 'safe')::INT)::DOUBLE AS false_flags,
    sum((label = 'unsafe')::INT)::DOUBLE AS unsafe, count(*)::DOUBLE AS n
FROM results
WHERE setting = 'clean' AND label IN ('safe', 'unsafe') AND test_set IN ('test', 'val', 'train')
GROUP BY ALL ORDER BY scorer, root
