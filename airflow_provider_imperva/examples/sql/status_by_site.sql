-- How sites answer: requests by the class of the HTTP status. No status means that no response was sent.
SELECT
    site_name AS site,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status BETWEEN 200 AND 299) AS success,
    count(*) FILTER (WHERE http_status BETWEEN 300 AND 399) AS redirected,
    count(*) FILTER (WHERE http_status BETWEEN 400 AND 499) AS client_error,
    count(*) FILTER (WHERE http_status >= 500) AS server_error,
    count(*) FILTER (WHERE http_status IS NULL) AS none
FROM events
WHERE event_class IN ('access', 'security')
GROUP BY site_name
ORDER BY requests DESC, site
