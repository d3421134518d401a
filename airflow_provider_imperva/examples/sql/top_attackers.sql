-- Who attacks most: clients by security events, with what became of them and where they were seen.
SELECT
    client_ip,
    max(client_country_code) AS country,
    count(*) AS events,
    count(*) FILTER (WHERE outcome = 'blocked') AS blocked,
    count(DISTINCT site_name) AS sites,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen
FROM events
WHERE event_class = 'security'
GROUP BY client_ip
ORDER BY events DESC, client_ip
LIMIT 20
