-- Groups whose kept pairs lie in more than one split. There must be none: this counts them anew, out of the rows.
SELECT count(*) AS groups_in_two_splits FROM (
    SELECT "group" FROM samples WHERE kept GROUP BY "group" HAVING count(DISTINCT split) > 1
)
