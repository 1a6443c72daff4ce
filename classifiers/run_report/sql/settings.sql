-- How pictures were drawn. `revision` is the digest of the weights.
SELECT generator, revision, scheduler, steps, guidance_scale, width, height, format, count(*) AS pictures
FROM samples WHERE format IS NOT NULL GROUP BY ALL ORDER BY pictures DESC, generator, revision, width, height LIMIT 30
