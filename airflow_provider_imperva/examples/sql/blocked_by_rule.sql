-- Which rules block: requests that were blocked, by the rule that did it. An event may name several rules, or none;
-- then what was found stands in its place.
SELECT
    rule,
    site,
    count(*) AS blocked,
    count(DISTINCT client_ip) AS clients
FROM (
    SELECT DISTINCT
        events.src_file,
        events.src_line,
        events.site_name AS site,
        events.client_ip,
        coalesce(nullif(rules.name, ''), events.event_name) AS rule
    FROM events
    LEFT JOIN UNNEST(events.rule_names) AS rules (name) ON TRUE
    WHERE events.outcome = 'blocked'
) AS named
GROUP BY rule, site
ORDER BY blocked DESC, rule, site
