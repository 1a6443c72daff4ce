-- What was put aside, and why. `jobs/retry.py` tries these again.
SELECT round, stage, error, count(*) AS samples FROM quarantine GROUP BY ALL ORDER BY samples DESC, round, stage, error LIMIT 50
