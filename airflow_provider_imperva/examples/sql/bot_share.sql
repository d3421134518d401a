-- How much of each site's traffic is no browser, by Imperva's own classification of the client.
SELECT
    site_name AS site,
    client_type,
    count(*) AS requests,
    round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY site_name), 1) AS percent_of_site
FROM events
WHERE event_class IN ('access', 'security')
GROUP BY site_name, client_type
ORDER BY site, requests DESC, client_type
