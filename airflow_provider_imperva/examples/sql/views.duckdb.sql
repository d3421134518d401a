-- The tables that the other files ask, over a lake: DuckDB, with the lake's root in place of {lake}.
-- To see later commits, run it again.

-- The period that the view `events` shows, both days included (UTC). Of a large lake ask for a short one: that many files
-- are opened.
SET VARIABLE first_day = '0001-01-01';
SET VARIABLE last_day = '9999-12-31';

-- The parts that the commits say the lake is made of: all that were added less all that were removed.
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

SET VARIABLE live_parts = (SELECT list('{lake}/' || path ORDER BY path) FROM live_parts WHERE path LIKE 'events/%');

-- Committed events of a period, for readers without a table: files of a run under way, and those that others have
-- replaced, are left out, and no file outside the period is opened.
CREATE OR REPLACE MACRO committed_events(first_day, last_day) AS TABLE
SELECT *
FROM read_parquet(
    [
        part FOR part IN getvariable('live_parts')
        IF regexp_extract(part, '/event_date=([^/]+)/', 1) BETWEEN CAST(first_day AS VARCHAR) AND CAST(last_day AS VARCHAR)
    ],
    hive_partitioning = true,
    union_by_name = true
);

CREATE OR REPLACE VIEW events AS
SELECT * FROM committed_events(getvariable('first_day'), getvariable('last_day'));

-- Where the rows about logs are: compaction gathers those of each thousand commits; of the others, each commit has an object.
SET VARIABLE ledger_logs = (
    WITH gathered AS (
        SELECT file, regexp_extract(file, '/(repository=[^/]+)/logs/(\d+)\.parquet$', ['repository', 'thousand']) AS of
        FROM glob('{lake}/reports/repository=*/logs/*.parquet')
    ),

    single AS (
        SELECT
            file,
            regexp_extract(file, '/(repository=[^/]+)/(\d+)/\d+\.logs\.parquet$', ['repository', 'thousand']) AS of
        FROM glob('{lake}/ledger/repository=*/*/*.logs.parquet')
    )

    SELECT list(file)
    FROM (
        SELECT file FROM gathered
        UNION ALL
        SELECT file FROM single WHERE of NOT IN (SELECT of FROM gathered)
    )
);

CREATE OR REPLACE VIEW logs AS
WITH entries AS (
    SELECT *
    FROM read_parquet(getvariable('ledger_logs'), hive_partitioning = true, union_by_name = true, filename = true)
    -- Where nothing is gathered yet, no object has this column.
    UNION ALL BY NAME
    SELECT NULL::BIGINT AS commit
    WHERE false
)

SELECT
    * EXCLUDE (filename, commit),
    coalesce(lpad(commit::VARCHAR, 12, '0'), regexp_extract(filename, '(\d+)\.logs\.parquet$', 1)) AS commit_number
FROM entries;
