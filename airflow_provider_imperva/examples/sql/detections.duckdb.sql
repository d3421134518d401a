-- What the example DAG imperva_detections looks for, for DuckDB. Change the bounds to suit your traffic.
-- `events` are those of one day (UTC), which the variable `day` names; `profile` has that day and up to 14 days before it.
-- Each detection answers with the same columns: subject is whom it is about, events how many there were, and usual what
-- is normal, where that can be said.

-- profile: What later days are held against: alerts by hour, and requests and alerts by country and rule (no client in it)
SELECT
    'hour' AS measure,
    account_id,
    NULL AS site_name,
    strftime(event_time, '%H') AS subject,
    count(*) FILTER (WHERE is_alert) AS events
FROM events
GROUP BY account_id, subject
UNION ALL
SELECT 'country', account_id, site_name, client_country_code, count(*)
FROM events
WHERE client_country_code IS NOT NULL
GROUP BY account_id, site_name, client_country_code
UNION ALL
SELECT 'rule', account_id, NULL, rule, count(*)
FROM (SELECT account_id, unnest(rule_names) AS rule FROM events)
WHERE rule <> ''
GROUP BY account_id, rule
UNION ALL
SELECT 'requests', account_id, NULL, NULL, count(*)
FROM events
GROUP BY account_id;

-- spike: In which hours does an account have far more alerts than its own hours of the days before had?
WITH days AS (
    SELECT account_id, count(DISTINCT event_date) AS days
    FROM profile
    WHERE measure = 'hour' AND event_date < getvariable('day')
    GROUP BY account_id
),

-- An hour without a request has no row, and counts as one without an alert.
usual AS (
    SELECT
        account_id,
        sum(events) / (24.0 * any_value(days)) AS mean,
        sum(events * events) / (24.0 * any_value(days)) AS mean_of_squares
    FROM profile
    JOIN days USING (account_id)
    WHERE measure = 'hour' AND event_date < getvariable('day')
    GROUP BY account_id
),

same_hour AS (
    SELECT
        account_id,
        subject,
        sum(events) / any_value(days) AS mean
    FROM profile
    JOIN days USING (account_id)
    WHERE measure = 'hour' AND event_date < getvariable('day')
    GROUP BY account_id, subject
)

SELECT
    account_id,
    NULL AS site_name,
    'alerts' AS subject,
    profile.subject AS hour,
    events,
    round(greatest(usual.mean, coalesce(same_hour.mean, 0)), 1) AS usual
FROM profile
JOIN days USING (account_id)
JOIN usual USING (account_id)
LEFT JOIN same_hour USING (account_id, subject)
WHERE measure = 'hour' AND event_date = getvariable('day')
    AND days >= 7
    AND events >= 50
    AND events > usual.mean + 4 * sqrt(mean_of_squares - usual.mean * usual.mean)
    AND events > 3 * coalesce(same_hour.mean, 0);

-- scanner: Which clients ask for many pages that a site refuses, or attack in many ways at once?
SELECT
    account_id,
    site_name,
    coalesce(client_address, client_ip) AS subject,
    NULL AS hour,
    count(*) AS events,
    NULL::DOUBLE AS usual
FROM events
WHERE coalesce(client_address, client_ip) IS NOT NULL
GROUP BY account_id, site_name, subject
HAVING count(DISTINCT url_path) FILTER (WHERE http_status IN (400, 403, 404, 405) OR outcome = 'blocked') >= 30
    OR count(DISTINCT event_name) FILTER (WHERE is_alert) >= 4
    OR count(*) FILTER (WHERE client_type IN ('Vulnerability Scanner', 'Hacking Tool')) >= 10;

-- credential_stuffing: Which programs try many logins in an hour, nearly all in vain, from however many addresses?
SELECT
    account_id,
    site_name,
    -- Imperva's signature of a program stays the same when its address changes.
    coalesce(client_signature, client_subnet, client_ip) AS subject,
    strftime(event_time, '%H') AS hour,
    count(*) AS events,
    NULL::DOUBLE AS usual
FROM events
WHERE http_method = 'POST' AND regexp_matches(lower(url_path), '(login|logon|signin|sign-in|/auth|/session|/token)')
GROUP BY account_id, site_name, subject, hour
HAVING count(*) >= 30
    AND count(*) FILTER (WHERE http_status IN (401, 403, 429) OR outcome IN ('blocked', 'challenged')) >= 0.9 * count(*);

-- new_country: From which countries does a site have visitors that it had none from in the days before?
WITH before AS (
    SELECT
        account_id,
        site_name,
        list(subject) AS countries
    FROM profile
    WHERE measure = 'country' AND event_date < getvariable('day')
    GROUP BY account_id, site_name
    HAVING count(DISTINCT event_date) >= 7
)

SELECT
    account_id,
    site_name,
    subject,
    NULL AS hour,
    events,
    0.0 AS usual
FROM profile
JOIN before USING (account_id, site_name)
WHERE measure = 'country' AND event_date = getvariable('day')
    AND events >= 10
    AND NOT list_contains(countries, subject);

-- rule_gone_quiet: Which rules fired every day, and not once on this one, although there was traffic? (days that are over)
WITH requests AS (
    SELECT
        account_id,
        sum(events) FILTER (WHERE event_date = getvariable('day')) AS events,
        avg(events) FILTER (WHERE event_date < getvariable('day')) AS usual,
        count(*) FILTER (WHERE event_date < getvariable('day')) AS days
    FROM profile
    WHERE measure = 'requests'
    GROUP BY account_id
)

SELECT
    fired.account_id,
    NULL AS site_name,
    fired.subject,
    NULL AS hour,
    0 AS events,
    round(avg(fired.events), 1) AS usual
FROM profile AS fired
JOIN requests USING (account_id)
WHERE fired.measure = 'rule' AND requests.days >= 7 AND requests.events >= 0.5 * requests.usual
GROUP BY fired.account_id, fired.subject, requests.days
HAVING max(fired.event_date) < getvariable('day')
    AND count(*) = requests.days
    AND avg(fired.events) >= 5;
