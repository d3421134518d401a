-- Where users wait: the slowest pages, by the 95th percentile of the time from request to end of response.
SELECT
    url_host AS host,
    url_path AS path,
    count(*) AS requests,
    quantile_disc(duration_ms, 0.5) AS median_ms,
    quantile_disc(duration_ms, 0.95) AS p95_ms,
    max(duration_ms) AS slowest_ms
FROM events
WHERE duration_ms IS NOT NULL
GROUP BY url_host, url_path
ORDER BY p95_ms DESC, host, path
LIMIT 20
