"""The tables of UnsafeBench as SQL over the rows `verdicts`, `draws` and `attacked`: no figure is computed in any other way."""

F1 = "2.0 * count(*) FILTER (unsafe AND flagged) / nullif(count(*) FILTER (unsafe) + count(*) FILTER (flagged), 0)"
"""2 TP / (2 TP + FP + FN). NULL where nothing is unsafe and nothing flagged."""

Z = 1.959964  # of a 95 % interval
_WILSON = "((share + {z2} / (2 * n) {sign} {z} * sqrt(share * (1 - share) / n + {z2} / (4 * n * n))) / (1 + {z2} / n))"
MACROS = "".join(
    f"CREATE MACRO wilson_{name}(share, n) AS {_WILSON.format(z=Z, z2=Z * Z, sign=sign)};"
    for name, sign in (("low", "-"), ("high", "+"))
)
"""Wilson's interval of a share of n, as functions of SQL."""

BOUNDS = """
2 * wilson_low(tp / wrong_or_tp, wrong_or_tp) / (1 + wilson_low(tp / wrong_or_tp, wrong_or_tp)) AS low,
2 * wilson_high(tp / wrong_or_tp, wrong_or_tp) / (1 + wilson_high(tp / wrong_or_tp, wrong_or_tp)) AS high
"""
"""F1 is 2 J / (1 + J) of the share J = TP / (TP + FP + FN), so Wilson's interval of J gives F1's."""
COUNTED = "count(*) FILTER (unsafe AND flagged) AS tp, nullif(count(*) FILTER (unsafe OR flagged), 0) AS wrong_or_tp"

TABLE_2 = "SELECT * FROM counts"

TABLE_9 = """
SELECT source, CASE WHEN unsafe THEN 'Unsafe' ELSE 'Safe' END AS label, category, count(*) AS pictures
FROM pictures GROUP BY ALL ORDER BY source, label, category
"""

# A category that a classifier does not claim gives no row: the cell is a dash. `Overall` is over the claimed categories; the paper
# prints it only where all eleven are. `flag_all` is the F1 of who flags everything: what a classifier has to beat.
TABLE_4 = f"""
WITH judged AS (
    SELECT *, source AS part FROM verdicts WHERE covered UNION ALL SELECT *, 'Overall' AS part FROM verdicts WHERE covered
)
SELECT part, classifier, category, pictures, unsafe_pictures, f1, {BOUNDS},
    2.0 * unsafe_pictures / (unsafe_pictures + pictures) AS flag_all
FROM (
    SELECT part, classifier, coalesce(category, 'Overall') AS category, count(*) AS pictures,
        count(*) FILTER (unsafe) AS unsafe_pictures, {F1} AS f1, {COUNTED}
    FROM judged GROUP BY GROUPING SETS ((part, classifier, category), (part, classifier))
)
ORDER BY part, classifier, category
"""

# The external sets have no categories: each classifier's decision counts, whatever it claims (the paper's table 6 does so).
TABLE_EXTERNAL = f"""
SELECT dataset, classifier, pictures, unsafe_pictures, f1, {BOUNDS}, recall, false_alarms
FROM (
    SELECT dataset, classifier, count(*) AS pictures, count(*) FILTER (unsafe) AS unsafe_pictures, {F1} AS f1, {COUNTED},
        avg(flagged::INT) FILTER (unsafe) AS recall, avg(flagged::INT) FILTER (NOT unsafe) AS false_alarms
    FROM external GROUP BY dataset, classifier
)
ORDER BY dataset, classifier
"""

FIGURE_3 = f"""
WITH cells AS (SELECT classifier, category, {F1} AS f1 FROM verdicts WHERE covered AND classifier NOT LIKE '%+%' GROUP BY ALL)
SELECT category, avg(f1) AS f1, count(*) AS classifiers FROM cells GROUP BY category ORDER BY category
"""

FIGURE_4 = f"""
WITH cells AS (SELECT classifier, source, category, {F1} AS f1 FROM verdicts WHERE covered GROUP BY ALL)
SELECT classifier, source, avg(f1) AS f1 FROM cells GROUP BY ALL ORDER BY classifier, source
"""

# A draw is 500 pictures (or all there are) that the classifier judged right; the mean and deviation are over draws, as printed in
# the paper. `worst` counts a picture as robust only if it withstood every attack. The deviation tells nothing where the draws share
# pictures, so Wilson's interval over the `different` ones stands beside it (too wide for `average`, which varies less).
TABLE_5 = """
WITH drawn AS (
    SELECT d.classifier, d.source, d.draw, a.protocol, a.attack, a.key, NOT a.fooled AS robust
    FROM draws d JOIN attacked a USING (classifier, key)
),
each_attack AS (
    SELECT classifier, source, protocol, draw, attack, avg(robust::INT) AS ra, count(*) AS pictures
    FROM drawn GROUP BY ALL
),
whole AS (
    SELECT classifier, source, protocol, draw, 'average' AS attack, avg(ra) AS ra, max(pictures) AS pictures
    FROM each_attack GROUP BY ALL
),
kept AS (SELECT classifier, source, protocol, draw, key, min(robust::INT) AS robust FROM drawn GROUP BY ALL),
worst AS (
    SELECT classifier, source, protocol, draw, 'worst' AS attack, avg(robust) AS ra, count(*) AS pictures
    FROM kept GROUP BY ALL
)
SELECT *, wilson_low(ra, different) AS low, wilson_high(ra, different) AS high
FROM (
    SELECT protocol, source, classifier, attack, avg(ra) AS ra, stddev_samp(ra) AS deviation, max(pictures) AS pictures
    FROM (FROM each_attack UNION ALL BY NAME FROM whole UNION ALL BY NAME FROM worst) GROUP BY ALL
) JOIN (SELECT source, classifier, count(DISTINCT key) AS different FROM draws GROUP BY ALL) USING (source, classifier)
ORDER BY protocol, source, classifier, attack
"""

# Confidence in the decision before the attack, of pictures that FGSM then fooled and of those that it did not.
FIGURE_8 = """
SELECT classifier, source, fooled, 1 / (1 + exp(-abs(margin_before))) AS confidence
FROM attacked WHERE protocol = 'pixel_linf' AND attack = 'fgsm' ORDER BY classifier, source, fooled, key
"""

# Cross-entropy of the right decision: softplus of minus the margin towards it.
FIGURE_15 = """
SELECT classifier, source, ln(1 + exp(-lead_before)) AS loss, ln(1 + exp(-lead_after)) - ln(1 + exp(-lead_before)) AS change
FROM (
    SELECT *, CASE WHEN unsafe THEN margin_before ELSE -margin_before END AS lead_before,
        CASE WHEN unsafe THEN margin_after ELSE -margin_after END AS lead_after
    FROM attacked WHERE protocol = 'pixel_linf' AND attack = 'fgsm'
) ORDER BY classifier, source, key
"""
