-- Unsafe pairs by category and source; a pair with two categories counts in both. An empty cell is a part that the data cannot speak of.
WITH cells AS (
    SELECT source, unnest(string_split(pair_categories, ',')) AS category FROM samples WHERE pair_label = 'unsafe'
)
SELECT trim(category) AS category, source, count(*) AS pairs FROM cells WHERE category <> '' GROUP BY ALL ORDER BY ALL
