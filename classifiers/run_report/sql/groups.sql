-- Pairs that look or read alike form a group, and a group lies in one split. Why pairs were left out of the shards.
SELECT CASE WHEN kept THEN 'kept' ELSE coalesce(reason, 'no shards were made yet') END AS decision, count(*) AS pairs,
    count(DISTINCT "group") AS groups, max(group_size) AS largest_group
FROM samples GROUP BY ALL ORDER BY pairs DESC
