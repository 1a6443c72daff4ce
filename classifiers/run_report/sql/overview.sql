-- Everything that is there, from prompts to shards. A pair is a prompt and its picture; variants are what attacks made of pairs.
SELECT count(DISTINCT root) AS prompts, count(*) FILTER (clean) AS clean_pairs, count(*) FILTER (NOT clean) AS variants,
    count(*) FILTER (pair_label = 'unsafe') AS unsafe, count(*) FILTER (pair_label = 'safe') AS safe,
    count(*) FILTER (pair_label IS NULL) AS unlabelled, count(*) FILTER (kept) AS kept_for_shards,
    count(*) FILTER (shard IS NOT NULL) AS in_shards, (SELECT count(*) FROM quarantine) AS quarantined
FROM samples
