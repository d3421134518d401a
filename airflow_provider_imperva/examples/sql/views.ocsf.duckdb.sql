-- Events under the names of OCSF 1.8, HTTP Activity (4002), over the view events: for those who want no copy. DuckDB.
-- Severities, dispositions and names are those that imperva-logs ocsf writes; what OCSF has no place for is left out.
CREATE OR REPLACE VIEW ocsf_http_activity AS
WITH known AS (
    SELECT
        *,
        coalesce(is_alert, false) AS alert,
        CASE http_method
            WHEN 'CONNECT' THEN 1 WHEN 'DELETE' THEN 2 WHEN 'GET' THEN 3 WHEN 'HEAD' THEN 4 WHEN 'OPTIONS' THEN 5
            WHEN 'POST' THEN 6 WHEN 'PUT' THEN 7 WHEN 'TRACE' THEN 8 WHEN 'PATCH' THEN 9
            ELSE CASE WHEN http_method IS NULL THEN 0 ELSE 99 END
        END AS activity,
        CASE
            WHEN severity IS NOT NULL
                THEN list_position(['informational', 'low', 'medium', 'high', 'critical'], severity)
            WHEN rule_type_code IS NULL OR is_alert IS NOT TRUE THEN 0
            ELSE 99
        END AS severity_number,
        CASE
            WHEN action IS NULL THEN 'Unknown'
            WHEN action IN (
                'REQ_DOMAIN_BLACKLISTED', 'REQ_LOCKED_IP_VIOLATION', 'REQ_SSL_NOT_SUPPORTED', 'REQ_NON_SNI_FORBIDDEN',
                'REQ_CLIENT_CERT_REQUIRED', 'REQ_ILLEGAL_PORT', 'REQ_ILLEGAL_IP_VIOLATION', 'REQ_IPV6_NOT_SUPPORTED'
            ) THEN 'Rejected'
            WHEN outcome IN ('passed', 'cached') THEN CASE WHEN is_alert THEN 'Detected' ELSE 'Allowed' END
            WHEN outcome = 'blocked' THEN 'Blocked'
            WHEN outcome = 'challenged' THEN CASE WHEN action LIKE '%CAPTCHA%' THEN 'Captcha' ELSE 'Challenge' END
            WHEN outcome = 'error' THEN 'Error'
            ELSE action
        END AS verdict
    FROM events
    WHERE event_class <> 'attack_analytics'
)
SELECT
    repository,
    event_date,
    epoch_ms(coalesce(event_time, src_file_start)) AS time,
    epoch_ms(event_time) AS start_time,
    epoch_ms(end_time) AS end_time,
    duration_ms AS duration,
    4 AS category_uid,
    'Network Activity' AS category_name,
    4002 AS class_uid,
    'HTTP Activity' AS class_name,
    activity AS activity_id,
    400200 + activity AS type_uid,
    severity_number AS severity_id,
    CASE verdict
        WHEN 'Unknown' THEN 0 WHEN 'Allowed' THEN 1 WHEN 'Blocked' THEN 2 WHEN 'Rejected' THEN 2 WHEN 'Detected' THEN 3
        WHEN 'Captcha' THEN 4 WHEN 'Challenge' THEN 4 ELSE 99
    END AS action_id,
    verdict AS disposition,
    CASE verdict
        WHEN 'Unknown' THEN 0 WHEN 'Allowed' THEN 1 WHEN 'Blocked' THEN 2 WHEN 'Detected' THEN 15 WHEN 'Captcha' THEN 22
        WHEN 'Challenge' THEN 23 WHEN 'Rejected' THEN 25 WHEN 'Error' THEN 27 ELSE 99
    END AS disposition_id,
    action AS status_code,
    alert AS is_alert,
    event_name AS message,
    {
        uid: concat(repository, '/', src_file, ':', src_line),
        log_name: src_file,
        tenant_uid: account_id::VARCHAR,
        event_code: rule_type_code::VARCHAR,
        original_event_uid: request_id
    } AS metadata,
    {
        ip: client_address,
        name: CASE WHEN client_address IS NULL THEN client_ip END,
        port: client_port,
        location: {country: client_country_code, city: client_city, lat: client_latitude, long: client_longitude},
        type: client_type
    } AS src_endpoint,
    {hostname: site_name, uid: site_id::VARCHAR, ip: server_ip, port: server_port} AS dst_endpoint,
    {name: pop} AS proxy_endpoint,
    {session: {uid: session_id}} AS connection_info,
    client_application AS app_name,
    {
        uid: request_id,
        http_method: CASE WHEN activity BETWEEN 1 AND 9 THEN http_method END,
        url: {
            url_string: CASE WHEN protocol IS NULL THEN url ELSE concat(lower(protocol), '://', url) END,
            scheme: lower(protocol),
            hostname: url_host,
            path: url_path,
            query_string: query_string
        },
        user_agent: user_agent,
        referrer: referrer
    } AS http_request,
    {code: http_status, length: response_bytes} AS http_response,
    {version: tls_version, cipher: tls_cipher} AS tls,
    {bytes_out: response_bytes} AS traffic,
    {
        uid: list_filter(attack_ids, lambda id: id <> '')[1],
        name: coalesce(list_filter(rule_names, lambda name: name <> '')[1], CASE WHEN alert THEN event_name END),
        type: list_filter(attack_type_codes, lambda code: code <> '')[1]
    } AS firewall_rule
FROM known;
