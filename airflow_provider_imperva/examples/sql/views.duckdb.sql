-- The tables that the other files ask, over a lake: DuckDB, with the lake's root in place of {lake}.
CREATE OR REPLACE VIEW events AS
SELECT *
FROM read_parquet('{lake}/events/**/*.parquet', hive_partitioning = true, union_by_name = true);

CREATE OR REPLACE VIEW logs AS
SELECT * EXCLUDE (filename), regexp_extract(filename, '(\d+)\.logs\.parquet$', 1) AS commit_number
FROM read_parquet(
    '{lake}/ledger/**/*.logs.parquet', hive_partitioning = true, union_by_name = true, filename = true
);
