-- Who drew the pictures, in which style, from prompts of which language. The thirty largest.
SELECT coalesce(generator, 'none') AS generator, coalesce(style, 'none') AS style, coalesce(language, 'none') AS language,
    count(*) AS pairs, count(*) FILTER (pair_label = 'unsafe') AS unsafe
FROM samples GROUP BY ALL ORDER BY pairs DESC, generator, style, language LIMIT 30
