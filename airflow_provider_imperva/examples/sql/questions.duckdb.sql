-- Questions that dashboards and detection rules for Imperva's logs answer, for DuckDB (after views.duckdb.sql).
-- Put your period in place of June 2026. From this file `python -m pages.questions` writes those for other engines.

-- requests_by_day: How many requests come each day, how many are alerts, and how many are blocked? (Imperva's traffic overview)
SELECT
    event_date AS day,
    count(*) AS requests,
    count(*) FILTER (WHERE event_class = 'security') AS alerts,
    count(*) FILTER (WHERE outcome = 'blocked') AS blocked
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30'
GROUP BY event_date
ORDER BY day;

-- attacked_sites: Which sites are attacked most, and what gets through? (Imperva's top attacked sites)
SELECT
    site_name AS site,
    count(*) AS alerts,
    count(*) FILTER (WHERE outcome = 'blocked') AS blocked,
    count(*) FILTER (WHERE outcome IS DISTINCT FROM 'blocked') AS not_blocked,
    count(DISTINCT client_ip) AS clients
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND event_class = 'security'
GROUP BY site_name
ORDER BY alerts DESC, site;

-- attack_types: What kinds of attack are there, and which share of each is blocked? (Elastic's overview)
SELECT
    event_name AS attack,
    count(*) AS alerts,
    round(100.0 * count(*) FILTER (WHERE outcome = 'blocked') / count(*), 1) AS percent_blocked
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND event_class = 'security'
GROUP BY event_name
ORDER BY alerts DESC, attack;

-- attacking_clients: Which clients attack most, where do they come from, and since when? (Imperva's top attacking addresses)
SELECT
    client_ip,
    max(client_country_code) AS country,
    count(*) AS alerts,
    count(DISTINCT site_name) AS sites,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND event_class = 'security'
GROUP BY client_ip
ORDER BY alerts DESC, client_ip
LIMIT 20;

-- attacks_by_country: From which countries do attacks come? (Imperva's and Elastic's maps)
SELECT
    client_country_code AS country,
    count(*) AS alerts,
    count(DISTINCT client_ip) AS clients
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND event_class = 'security' AND client_country_code IS NOT NULL
GROUP BY client_country_code
ORDER BY alerts DESC, country;

-- rules: Which rules fire, on how many sites and clients? (Imperva's top violations)
SELECT
    rule,
    count(*) AS alerts,
    count(DISTINCT site_name) AS sites,
    count(DISTINCT client_ip) AS clients
FROM events
CROSS JOIN UNNEST(rule_names) AS fired (rule)
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND rule <> ''
GROUP BY rule
ORDER BY alerts DESC, rule;

-- violations: By which kind of attack and which rule do events violate a site's policy, and how many are blocked? (Imperva's violations)
SELECT
    violation,
    count(*) AS events,
    count(*) FILTER (WHERE outcome = 'blocked') AS blocked,
    count(DISTINCT client_address) AS clients
FROM events
CROSS JOIN UNNEST(list_transform(violations, lambda v : coalesce(v.attack_type_name, v.attack_type, 'unknown') || ': ' || coalesce(v.rule_name, 'no rule name'))) AS fired (violation)
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30'
GROUP BY violation
ORDER BY events DESC, violation;

-- severities: How severe are the alerts of each site, and what of it gets through? (Elastic's severity)
SELECT
    severity,
    site_name AS site,
    count(*) AS alerts,
    count(*) FILTER (WHERE outcome IN ('passed', 'cached')) AS let_through
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND is_alert AND severity IN ('medium', 'high', 'critical')
GROUP BY severity, site_name
ORDER BY alerts DESC, severity, site;

-- attacking_networks: From which networks do attacks come, however many addresses they have there? (Imperva's top attacking networks)
SELECT
    client_subnet AS network,
    max(client_country_code) AS country,
    count(*) AS alerts,
    count(DISTINCT client_address) AS clients
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND is_alert AND client_subnet IS NOT NULL
GROUP BY client_subnet
ORDER BY alerts DESC, network
LIMIT 20;

-- attacks_not_blocked: Which attacks were let through to which pages? (Sentinel: severe event that is not blocked)
SELECT
    event_name AS attack,
    site_name AS site,
    url_path AS path,
    count(*) AS let_through
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND event_class = 'security' AND outcome IN ('passed', 'cached')
GROUP BY event_name, site_name, url_path
ORDER BY let_through DESC, attack, site, path
LIMIT 50;

-- outcomes: What becomes of requests, by site? (Elastic's actions)
SELECT
    site_name AS site,
    outcome,
    count(*) AS requests
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30'
GROUP BY site_name, outcome
ORDER BY site, requests DESC, outcome;

-- forbidden_methods: Who uses methods that a site hardly needs? (Sentinel: forbidden HTTP request method)
SELECT
    client_ip,
    http_method AS method,
    count(*) AS requests
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND http_method IN ('TRACE', 'TRACK', 'CONNECT', 'DEBUG', 'PROPFIND', 'MOVE')
GROUP BY client_ip, http_method
ORDER BY requests DESC, client_ip, method;

-- malicious_clients: Which requests come from clients that Imperva knows as tools of attackers? (Sentinel: malicious client)
SELECT
    client_ip,
    client_application,
    client_type,
    count(*) AS requests,
    count(*) FILTER (WHERE outcome = 'blocked') AS blocked
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND client_type IN ('Hacking Tool', 'Vulnerability Scanner', 'DDoS Bot', 'Spam Bot', 'Worm', 'Click Bot')
GROUP BY client_ip, client_application, client_type
ORDER BY requests DESC, client_ip, client_application, client_type;

-- scanner_agents: Which clients send the user agent of a scanner? (Sentinel: malicious user agent)
SELECT
    client_ip,
    user_agent,
    count(*) AS requests
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND regexp_matches(lower(user_agent), 'sqlmap|nikto|nmap|nessus|acunetix|dirbuster|gobuster|wpscan|masscan|zgrab')
GROUP BY client_ip, user_agent
ORDER BY requests DESC, client_ip, user_agent;

-- many_user_agents: Which clients change their user agent? (Sentinel: multiple user agents from the same source)
SELECT
    client_ip,
    count(DISTINCT user_agent) AS user_agents,
    count(*) AS requests
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30'
GROUP BY client_ip
HAVING count(DISTINCT user_agent) > 3
ORDER BY user_agents DESC, client_ip;

-- commands_in_urls: Which requests carry what looks like a command? (Sentinel: possible command injection)
SELECT
    client_ip,
    url,
    outcome,
    count(*) AS requests
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30'
    AND regexp_matches(lower(coalesce(url, '') || '?' || coalesce(query_string, '')), '/etc/passwd|cmd[.]exe|/bin/(ba)?sh|wget(%20|[+])|curl(%20|[+])')
GROUP BY client_ip, url, outcome
ORDER BY requests DESC, client_ip, url, outcome;

-- admin_pages: Who asks for pages of administration, and does it answer? (Sentinel: admin panel)
SELECT
    client_ip,
    url_path AS path,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status BETWEEN 200 AND 299) AS answered
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND regexp_matches(lower(url_path), '^/(wp-admin|wp-login[.]php|admin|administrator|phpmyadmin|manager)(/|$)')
GROUP BY client_ip, url_path
ORDER BY answered DESC, requests DESC, client_ip, path;

-- new_countries: From which countries does a site have visitors on the last day that it never had before? (Sentinel: unexpected country)
WITH seen AS (
    SELECT
        site_name,
        client_country_code,
        min(event_date) AS first_day,
        count(*) AS requests
    FROM events
    WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND client_country_code IS NOT NULL
    GROUP BY site_name, client_country_code
)
SELECT
    site_name AS site,
    client_country_code AS country,
    requests
FROM seen
WHERE first_day = DATE '2026-06-30'
ORDER BY requests DESC, site, country;

-- ports: Which sites are asked for on ports other than 80 and 443? (Sentinel: unexpected destination port)
SELECT
    site_name AS site,
    server_port AS port,
    count(*) AS requests,
    count(DISTINCT client_ip) AS clients
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND server_port NOT IN (80, 443)
GROUP BY site_name, server_port
ORDER BY requests DESC, site, port;

-- plain_http: Which sites are still served without TLS? (Sentinel: abnormal protocol usage)
SELECT
    site_name AS site,
    count(*) AS requests,
    count(*) FILTER (WHERE protocol = 'HTTP') AS plain,
    round(100.0 * count(*) FILTER (WHERE protocol = 'HTTP') / count(*), 1) AS percent_plain
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND protocol IS NOT NULL
GROUP BY site_name
ORDER BY percent_plain DESC, site;

-- weak_tls: Which clients would be cut off if old versions of TLS were refused? (Sentinel: insecure web protocol version)
SELECT
    site_name AS site,
    tls_version,
    count(*) AS requests,
    count(DISTINCT client_ip) AS clients
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND tls_version IN ('SSLv3', 'TLSv1', 'TLSv1.0', 'TLSv1.1')
GROUP BY site_name, tls_version
ORDER BY requests DESC, site, tls_version;

-- rare_applications: Which client applications are rare? (Sentinel: rare client applications)
SELECT
    client_application AS application,
    count(*) AS requests,
    count(DISTINCT client_ip) AS clients
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30' AND client_application IS NOT NULL
GROUP BY client_application
ORDER BY requests, application
LIMIT 20;

-- errors: Where do sites answer with errors, by page? (Sentinel: applications with error requests)
SELECT
    site_name AS site,
    url_path AS path,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status >= 500) AS server_errors,
    count(*) FILTER (WHERE http_status BETWEEN 400 AND 499) AS client_errors
FROM events
WHERE event_date BETWEEN DATE '2026-06-01' AND DATE '2026-06-30'
GROUP BY site_name, url_path
HAVING count(*) FILTER (WHERE http_status >= 400) > 0
ORDER BY server_errors DESC, client_errors DESC, site, path
LIMIT 50;
