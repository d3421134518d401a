-- The tables that the other files ask, over a lake: DuckDB, with the lake's root in place of {lake}.
CREATE OR REPLACE VIEW events AS
SELECT *
FROM read_parquet('{lake}/events/repository=*/**/*.parquet', hive_partitioning = true, union_by_name = true);

-- The parts that the commits say the lake is made of: all that were written less all that were removed.
CREATE OR REPLACE VIEW live_parts AS
WITH commits AS (
    SELECT parts, removed
    FROM read_json(
        '{lake}/ledger/repository=*/*/*.commit.json',
        columns = {parts: 'STRUCT(path VARCHAR)[]', removed: 'STRUCT(path VARCHAR)[]'},
        maximum_object_size = 1073741824
    )
)
SELECT unnest(parts).path AS path FROM commits
EXCEPT
SELECT unnest(removed).path AS path FROM commits;

-- Committed events only, for readers without a table: files of a run under way, or of a replay that is not done or whose
-- old files are still there, are left out.
CREATE OR REPLACE VIEW committed_events AS
SELECT * EXCLUDE (filename)
FROM read_parquet(
    '{lake}/events/repository=*/**/*.parquet', hive_partitioning = true, union_by_name = true, filename = true
)
WHERE 'events/' || regexp_extract(filename, '/events/(repository=[^/]+/.*)$', 1) IN (SELECT path FROM live_parts);

CREATE OR REPLACE VIEW logs AS
SELECT * EXCLUDE (filename), regexp_extract(filename, '(\d+)\.logs\.parquet$', 1) AS commit_number
FROM read_parquet(
    '{lake}/ledger/**/*.logs.parquet', hive_partitioning = true, union_by_name = true, filename = true
);
