-- What kinds of attack come when: security events by hour and by the name of what was found.
SELECT
    date_trunc('hour', event_time) AS hour,
    event_name AS attack,
    count(*) AS events
FROM events
WHERE event_class = 'security'
GROUP BY date_trunc('hour', event_time), event_name
ORDER BY hour, events DESC, attack
