-- What one visitor did, in order. Here the visitor with the most security events; put an id of your own in its place.
SELECT
    event_time,
    http_method AS method,
    url,
    http_status AS status,
    outcome,
    event_name
FROM events
WHERE visitor_id = (
    SELECT visitor_id
    FROM events
    WHERE event_class = 'security' AND visitor_id IS NOT NULL
    GROUP BY visitor_id
    ORDER BY count(*) DESC, visitor_id
    LIMIT 1
)
ORDER BY event_time, request_id
