-- What went into each stage and what came out. Seconds are summed over workers; a stage without a rate took no time worth measuring.
SELECT round, stage, sum(taken) AS taken, sum(given) AS given, sum(dropped) AS dropped, sum(quarantined) AS quarantined,
    round(sum(seconds), 1) AS seconds, round(sum(taken) / nullif(sum(seconds), 0), 1) AS per_second
FROM receipts GROUP BY round, stage ORDER BY round, min(unit), stage
