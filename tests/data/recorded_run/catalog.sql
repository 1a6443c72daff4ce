-- The catalogue of a Hazmat run: samples, votes, labels, receipts, quarantine, shards, results.
--
--   cd RUN && duckdb -init catalog.sql            or, from anywhere (also s3://…, with a file system that DuckDB can read):
--   SET VARIABLE run = '/where/the/run/lies'   and   .read /where/the/run/lies/catalog.sql
--
-- Paths are taken from the variable `run`, so a run may be moved. `jobs/query.py RUN` brings the tables up to date first.
SET VARIABLE run = coalesce(getvariable('run'), '.');
CREATE OR REPLACE VIEW samples AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/samples.parquet');
CREATE OR REPLACE VIEW votes AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/votes.parquet');
CREATE OR REPLACE VIEW labels AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/labels.parquet');
CREATE OR REPLACE VIEW receipts AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/receipts.parquet');
CREATE OR REPLACE VIEW quarantine AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/quarantine.parquet');
CREATE OR REPLACE VIEW shards AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/shards.parquet');
CREATE OR REPLACE VIEW results AS SELECT * FROM read_parquet(getvariable('run') || '/catalogue/results.parquet');
