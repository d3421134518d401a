-- Questions that dashboards and detection rules for Imperva's logs answer, for Trino and Athena.
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
  day;

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
  site;

-- attack_types: What kinds of attack are there, and which share of each is blocked? (Elastic's overview)
SELECT
  event_name AS attack,
  COUNT(*) AS alerts,
  ROUND(CAST(100.0 * COUNT(*) FILTER(WHERE
    outcome = 'blocked') AS DOUBLE) / COUNT(*), 1) AS percent_blocked
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND event_class = 'security'
GROUP BY
  event_name
ORDER BY
  alerts DESC,
  attack;

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
  client_ip
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
  country;

-- rules: Which rules fire, on how many sites and clients? (Imperva's top violations)
SELECT
  rule,
  COUNT(*) AS alerts,
  COUNT(DISTINCT site_name) AS sites,
  COUNT(DISTINCT client_ip) AS clients
FROM events
CROSS JOIN UNNEST(rule_names) AS fired(rule)
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND rule <> ''
GROUP BY
  rule
ORDER BY
  alerts DESC,
  rule;

-- violations: By which kind of attack and which rule do events violate a site's policy, and how many are blocked? (Imperva's violations)
SELECT
  violation,
  COUNT(*) AS events,
  COUNT(*) FILTER(WHERE
    outcome = 'blocked') AS blocked,
  COUNT(DISTINCT client_address) AS clients
FROM events
CROSS JOIN UNNEST(TRANSFORM(
  violations,
  v -> CONCAT(
    CAST(COALESCE(v.attack_type_name, v.attack_type, 'unknown') AS VARCHAR),
    CAST(': ' AS VARCHAR),
    CAST(COALESCE(v.rule_name, 'no rule name') AS VARCHAR)
  )
)) AS fired(violation)
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
GROUP BY
  violation
ORDER BY
  events DESC,
  violation;

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
  severity,
  site;

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
  network
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
  attack,
  site,
  path
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
  site,
  requests DESC,
  outcome;

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
  client_ip,
  method;

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
  client_ip,
  client_application,
  client_type;

-- scanner_agents: Which clients send the user agent of a scanner? (Sentinel: malicious user agent)
SELECT
  client_ip,
  user_agent,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND REGEXP_LIKE(
    LOWER(user_agent),
    'sqlmap|nikto|nmap|nessus|acunetix|dirbuster|gobuster|wpscan|masscan|zgrab'
  )
GROUP BY
  client_ip,
  user_agent
ORDER BY
  requests DESC,
  client_ip,
  user_agent;

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
  client_ip;

-- commands_in_urls: Which requests carry what looks like a command? (Sentinel: possible command injection)
SELECT
  client_ip,
  url,
  outcome,
  COUNT(*) AS requests
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND REGEXP_LIKE(
    LOWER(
      CONCAT(
        CAST(COALESCE(url, '') AS VARCHAR),
        CAST('?' AS VARCHAR),
        CAST(COALESCE(query_string, '') AS VARCHAR)
      )
    ),
    '/etc/passwd|cmd[.]exe|/bin/(ba)?sh|wget(%20|[+])|curl(%20|[+])'
  )
GROUP BY
  client_ip,
  url,
  outcome
ORDER BY
  requests DESC,
  client_ip,
  url,
  outcome;

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
  AND REGEXP_LIKE(
    LOWER(url_path),
    '^/(wp-admin|wp-login[.]php|admin|administrator|phpmyadmin|manager)(/|$)'
  )
GROUP BY
  client_ip,
  url_path
ORDER BY
  answered DESC,
  requests DESC,
  client_ip,
  path;

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
  site,
  country;

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
  site,
  port;

-- plain_http: Which sites are still served without TLS? (Sentinel: abnormal protocol usage)
SELECT
  site_name AS site,
  COUNT(*) AS requests,
  COUNT(*) FILTER(WHERE
    protocol = 'HTTP') AS plain,
  ROUND(CAST(100.0 * COUNT(*) FILTER(WHERE
    protocol = 'HTTP') AS DOUBLE) / COUNT(*), 1) AS percent_plain
FROM events
WHERE
  event_date BETWEEN CAST('2026-06-01' AS DATE) AND CAST('2026-06-30' AS DATE)
  AND NOT protocol IS NULL
GROUP BY
  site_name
ORDER BY
  percent_plain DESC,
  site;

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
  site,
  tls_version;

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
  requests,
  application
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
  site,
  path
LIMIT 50;
