"""What `jobs/evaluate.py` is made of: rows to judge, attacks on them, results as Parquet rows, and the questions asked of those."""
