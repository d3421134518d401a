-- Where users wait: the slowest pages, by the 95th percentile of the time from request to end of response.
-- In Athena and Trino percentiles are approximate.
SELECT
    url_host AS host,
    url_path AS path,
    count(*) AS requests,
    approx_percentile(duration_ms, 0.5) AS median_ms,
    approx_percentile(duration_ms, 0.95) AS p95_ms,
    max(duration_ms) AS slowest_ms
FROM events
WHERE duration_ms IS NOT NULL
GROUP BY url_host, url_path
ORDER BY p95_ms DESC, host, path
LIMIT 20
