-- Questions that dashboards and detection rules for Imperva's logs answer, for Spark and Databricks.
-- Put your period in place of June 2026. Written by `python -m pages.questions`; do not edit.

-- requests_by_day: How many requests come each day, how many are alerts, and how many are blocked? (Imperva's traffic overview)
SELECT
  event_date AS day,
  COUNT(*) AS requests,
  COUNT(*) FILTER(WHERE
    event_class = 'security') AS alerts,
  COUNT(*) FILTER(WHERE
    outcome = 'blocked') AS blocked
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
GROUP BY
  event_date
ORDER BY
  day NULLS LAST;

-- attacked_sites: Which sites are attacked most, and what gets through? (Imperva's top attacked sites)
SELECT
  site_name AS site,
  COUNT(*) AS alerts,
  COUNT(*) FILTER(WHERE
    outcome = 'blocked') AS blocked,
  COUNT(*) FILTER(WHERE
    outcome IS DISTINCT FROM 'blocked') AS not_blocked,
  COUNT(DISTINCT client_ip) AS clients
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND event_class = 'security'
GROUP BY
  site_name
ORDER BY
  alerts DESC,
  site NULLS LAST;

-- attack_types: What kinds of attack are there, and which share of each is blocked? (Elastic's overview)
SELECT
  event_name AS attack,
  COUNT(*) AS alerts,
  ROUND(100.0 * COUNT(*) FILTER(WHERE
    outcome = 'blocked') / COUNT(*), 1) AS percent_blocked
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND event_class = 'security'
GROUP BY
  event_name
ORDER BY
  alerts DESC,
  attack NULLS LAST;

-- attacking_clients: Which clients attack most, where do they come from, and since when? (Imperva's top attacking addresses)
SELECT
  client_ip,
  MAX(client_country_code) AS country,
  COUNT(*) AS alerts,
  COUNT(DISTINCT site_name) AS sites,
  MIN(event_time) AS first_seen,
  MAX(event_time) AS last_seen
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND event_class = 'security'
GROUP BY
  client_ip
ORDER BY
  alerts DESC,
  client_ip NULLS LAST
LIMIT 20;

-- attacks_by_country: From which countries do attacks come? (Imperva's and Elastic's maps)
SELECT
  client_country_code AS country,
  COUNT(*) AS alerts,
  COUNT(DISTINCT client_ip) AS clients
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND event_class = 'security'
  AND NOT client_country_code IS NULL
GROUP BY
  client_country_code
ORDER BY
  alerts DESC,
  country NULLS LAST;

-- rules: Which rules fire, on how many sites and clients? (Imperva's top violations)
SELECT
  rule,
  COUNT(*) AS alerts,
  COUNT(DISTINCT site_name) AS sites,
  COUNT(DISTINCT client_ip) AS clients
FROM events
LATERAL VIEW
EXPLODE(rule_names) fired AS rule
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND rule <> ''
GROUP BY
  rule
ORDER BY
  alerts DESC,
  rule NULLS LAST;

-- violations: By which kind of attack and which rule do events violate a site's policy, and how many are blocked? (Imperva's violations)
SELECT
  violation,
  COUNT(*) AS events,
  COUNT(*) FILTER(WHERE
    outcome = 'blocked') AS blocked,
  COUNT(DISTINCT client_address) AS clients
FROM events
LATERAL VIEW
EXPLODE(
  TRANSFORM(
    violations,
    v -> COALESCE(v.attack_type_name, v.attack_type, 'unknown') || ': ' || COALESCE(v.rule_name, 'no rule name')
  )
) fired AS violation
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
GROUP BY
  violation
ORDER BY
  events DESC,
  violation NULLS LAST;

-- severities: How severe are the alerts of each site, and what of it gets through? (Elastic's severity)
SELECT
  severity,
  site_name AS site,
  COUNT(*) AS alerts,
  COUNT(*) FILTER(WHERE
    outcome IN ('passed', 'cached')) AS let_through
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND is_alert
  AND severity IN ('medium', 'high', 'critical')
GROUP BY
  severity,
  site_name
ORDER BY
  alerts DESC,
  severity NULLS LAST,
  site NULLS LAST;

-- attacking_networks: From which networks do attacks come, however many addresses they have there? (Imperva's top attacking networks)
SELECT
  client_subnet AS network,
  MAX(client_country_code) AS country,
  COUNT(*) AS alerts,
  COUNT(DISTINCT client_address) AS clients
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND is_alert
  AND NOT client_subnet IS NULL
GROUP BY
  client_subnet
ORDER BY
  alerts DESC,
  network NULLS LAST
LIMIT 20;

-- attacks_not_blocked: Which attacks were let through to which pages? (Sentinel: severe event that is not blocked)
SELECT
  event_name AS attack,
  site_name AS site,
  url_path AS path,
  COUNT(*) AS let_through
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND event_class = 'security'
  AND outcome IN ('passed', 'cached')
GROUP BY
  event_name,
  site_name,
  url_path
ORDER BY
  let_through DESC,
  attack NULLS LAST,
  site NULLS LAST,
  path NULLS LAST
LIMIT 50;

-- outcomes: What becomes of requests, by site? (Elastic's actions)
SELECT
  site_name AS site,
  outcome,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
GROUP BY
  site_name,
  outcome
ORDER BY
  site NULLS LAST,
  requests DESC,
  outcome NULLS LAST;

-- forbidden_methods: Who uses methods that a site hardly needs? (Sentinel: forbidden HTTP request method)
SELECT
  client_ip,
  http_method AS method,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND http_method IN ('TRACE', 'TRACK', 'CONNECT', 'DEBUG', 'PROPFIND', 'MOVE')
GROUP BY
  client_ip,
  http_method
ORDER BY
  requests DESC,
  client_ip NULLS LAST,
  method NULLS LAST;

-- malicious_clients: Which requests come from clients that Imperva knows as tools of attackers? (Sentinel: malicious client)
SELECT
  client_ip,
  client_application,
  client_type,
  COUNT(*) AS requests,
  COUNT(*) FILTER(WHERE
    outcome = 'blocked') AS blocked
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND client_type IN (
    'Hacking Tool',
    'Vulnerability Scanner',
    'DDoS Bot',
    'Spam Bot',
    'Worm',
    'Click Bot'
  )
GROUP BY
  client_ip,
  client_application,
  client_type
ORDER BY
  requests DESC,
  client_ip NULLS LAST,
  client_application NULLS LAST,
  client_type NULLS LAST;

-- scanner_agents: Which clients send the user agent of a scanner? (Sentinel: malicious user agent)
SELECT
  client_ip,
  user_agent,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND LOWER(user_agent) RLIKE 'sqlmap|nikto|nmap|nessus|acunetix|dirbuster|gobuster|wpscan|masscan|zgrab'
GROUP BY
  client_ip,
  user_agent
ORDER BY
  requests DESC,
  client_ip NULLS LAST,
  user_agent NULLS LAST;

-- many_user_agents: Which clients change their user agent? (Sentinel: multiple user agents from the same source)
SELECT
  client_ip,
  COUNT(DISTINCT user_agent) AS user_agents,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
GROUP BY
  client_ip
HAVING
  COUNT(DISTINCT user_agent) > 3
ORDER BY
  user_agents DESC,
  client_ip NULLS LAST;

-- commands_in_urls: Which requests carry what looks like a command? (Sentinel: possible command injection)
SELECT
  client_ip,
  url,
  outcome,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND LOWER(COALESCE(url, '') || '?' || COALESCE(query_string, '')) RLIKE '/etc/passwd|cmd[.]exe|/bin/(ba)?sh|wget(%20|[+])|curl(%20|[+])'
GROUP BY
  client_ip,
  url,
  outcome
ORDER BY
  requests DESC,
  client_ip NULLS LAST,
  url NULLS LAST,
  outcome NULLS LAST;

-- admin_pages: Who asks for pages of administration, and does it answer? (Sentinel: admin panel)
SELECT
  client_ip,
  url_path AS path,
  COUNT(*) AS requests,
  COUNT(*) FILTER(WHERE
    http_status BETWEEN 200 AND 299) AS answered
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND LOWER(url_path) RLIKE '^/(wp-admin|wp-login[.]php|admin|administrator|phpmyadmin|manager)(/|$)'
GROUP BY
  client_ip,
  url_path
ORDER BY
  answered DESC,
  requests DESC,
  client_ip NULLS LAST,
  path NULLS LAST;

-- new_countries: From which countries does a site have visitors on the last day that it never had before? (Sentinel: unexpected country)
WITH seen AS (
  SELECT
    site_name,
    client_country_code,
    MIN(event_date) AS first_day,
    COUNT(*) AS requests
  FROM events
  WHERE
    event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
    AND NOT client_country_code IS NULL
  GROUP BY
    site_name,
    client_country_code
)
SELECT
  site_name AS site,
  client_country_code AS country,
  requests
FROM seen
WHERE
  first_day = CAST('2026-06-30' AS DATE)
ORDER BY
  requests DESC,
  site NULLS LAST,
  country NULLS LAST;

-- ports: Which sites are asked for on ports other than 80 and 443? (Sentinel: unexpected destination port)
SELECT
  site_name AS site,
  server_port AS port,
  COUNT(*) AS requests,
  COUNT(DISTINCT client_ip) AS clients
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND NOT server_port IN (80, 443)
GROUP BY
  site_name,
  server_port
ORDER BY
  requests DESC,
  site NULLS LAST,
  port NULLS LAST;

-- plain_http: Which sites are still served without TLS? (Sentinel: abnormal protocol usage)
SELECT
  site_name AS site,
  COUNT(*) AS requests,
  COUNT(*) FILTER(WHERE
    protocol = 'HTTP') AS plain,
  ROUND(100.0 * COUNT(*) FILTER(WHERE
    protocol = 'HTTP') / COUNT(*), 1) AS percent_plain
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND NOT protocol IS NULL
GROUP BY
  site_name
ORDER BY
  percent_plain DESC,
  site NULLS LAST;

-- weak_tls: Which clients would be cut off if old versions of TLS were refused? (Sentinel: insecure web protocol version)
SELECT
  site_name AS site,
  tls_version,
  COUNT(*) AS requests,
  COUNT(DISTINCT client_ip) AS clients
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND tls_version IN ('SSLv3', 'TLSv1', 'TLSv1.0', 'TLSv1.1')
GROUP BY
  site_name,
  tls_version
ORDER BY
  requests DESC,
  site NULLS LAST,
  tls_version NULLS LAST;

-- rare_applications: Which client applications are rare? (Sentinel: rare client applications)
SELECT
  client_application AS application,
  COUNT(*) AS requests,
  COUNT(DISTINCT client_ip) AS clients
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND NOT client_application IS NULL
GROUP BY
  client_application
ORDER BY
  requests NULLS LAST,
  application NULLS LAST
LIMIT 20;

-- errors: Where do sites answer with errors, by page? (Sentinel: applications with error requests)
SELECT
  site_name AS site,
  url_path AS path,
  COUNT(*) AS requests,
  COUNT(*) FILTER(WHERE
    http_status >= 500) AS server_errors,
  COUNT(*) FILTER(WHERE
    http_status BETWEEN 400 AND 499) AS client_errors
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
GROUP BY
  site_name,
  url_path
HAVING
  COUNT(*) FILTER(WHERE
    http_status >= 400) > 0
ORDER BY
  server_errors DESC,
  client_errors DESC,
  site NULLS LAST,
  path NULLS LAST
LIMIT 50;
