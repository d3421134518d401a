-- How long Imperva takes to write an event into a log: from the event to the end of its log, by hour.
SELECT
    date_trunc('hour', event_time) AS hour,
    count(*) AS events,
    round(avg(date_diff('second', event_time, src_file_end)), 1) AS average_seconds,
    max(date_diff('second', event_time, src_file_end)) AS longest_seconds
FROM events
WHERE src_file_end IS NOT NULL
GROUP BY date_trunc('hour', event_time)
ORDER BY hour
