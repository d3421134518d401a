-- How much the cache takes off the origin servers: requests and bytes answered from the cache, by site.
SELECT
    site_name AS site,
    count(*) AS requests,
    count(*) FILTER (WHERE outcome = 'cached') AS cached,
    round(100.0 * count(*) FILTER (WHERE outcome = 'cached') / count(*), 1) AS percent_cached,
    sum(response_bytes) AS bytes,
    sum(response_bytes) FILTER (WHERE outcome = 'cached') AS bytes_cached
FROM events
WHERE event_class = 'access'
GROUP BY site_name
ORDER BY requests DESC, site
