-- Pairs by split and label. A split that lacks a label can neither be trained on nor judged by.
SELECT coalesce(split, 'none') AS split, count(*) AS pairs, count(*) FILTER (pair_label = 'safe') AS safe,
    count(*) FILTER (pair_label = 'unsafe') AS unsafe, count(*) FILTER (pair_label IS NULL) AS unlabelled,
    count(*) FILTER (NOT clean) AS variants, count(DISTINCT "group") AS groups
FROM samples GROUP BY ALL ORDER BY ALL
