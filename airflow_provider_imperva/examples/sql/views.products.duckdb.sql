-- Events of Imperva's other products with typed columns, over events: DuckDB (after views.duckdb.sql).
-- Written by `python -m pages.products`; do not edit. docs/reference/products.md explains the columns.

-- Audit trail: what people and programs changed in the Imperva console
CREATE OR REPLACE VIEW audit_trail_events AS
SELECT
    event_time,
    device_product AS dataset,
    account_id,
    account_name,
    site_id,
    site_name,
    extra['user.email'] AS user_email,
    extra['user.name'] AS user_name,
    extra['imperva.audit_trail.assumed_by'] AS assumed_by,
    extra['imperva.audit_trail.event_action'] AS event_action,
    extra['imperva.audit_trail.event_action_description'] AS event_action_description,
    extra['imperva.audit_trail.resource_type'] AS resource_type,
    extra['imperva.audit_trail.resource_type_description'] AS resource_type_description,
    extra['imperva.audit_trail.resource_id'] AS resource_id,
    extra['imperva.audit_trail.resource_name'] AS resource_name,
    extra['imperva.audit_trail.event_context'] AS event_context,
    extra['imperva.audit_trail.event_context_description'] AS event_context_description,
    extra['message'] AS message,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('AUDIT_TRAIL') OR upper(device_vendor) IN ('AUDIT') OR extra['imperva.audit_trail.event_action'] IS NOT NULL);

-- Account Takeover Protection: logins, and what is wrong with them
CREATE OR REPLACE VIEW ato_events AS
SELECT
    event_time,
    device_product AS dataset,
    account_id,
    account_name,
    site_id,
    site_name,
    client_ip,
    client_address,
    client_subnet,
    client_country_code,
    client_application,
    client_type,
    session_id,
    request_id,
    referrer,
    extra['imperva.event_type'] AS event_type,
    extra['imperva.risk_level'] AS risk_level,
    extra['imperva.risk_reason'] AS risk_reason,
    extra['imperva.request_user'] AS request_user,
    extra['imperva.path'] AS path,
    extra['imperva.fingerprint'] AS fingerprint,
    TRY_CAST(TRY_CAST(extra['imperva.device_reputation'] AS JSON) AS VARCHAR[]) AS device_reputation,
    TRY_CAST(extra['imperva.credentials_leaked'] AS BOOLEAN) AS credentials_leaked,
    TRY_CAST(extra['imperva.failed_logins_last_24h'] AS BIGINT) AS failed_logins_last_24h,
    TRY_CAST(extra['imperva.successful_logins_last_24h'] AS BIGINT) AS successful_logins_last_24h,
    TRY_CAST(TRY_CAST(extra['imperva.additional_factors'] AS JSON) AS VARCHAR[]) AS additional_factors,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('ATO') OR upper(device_vendor) IN ('ATO') OR extra['imperva.risk_level'] IS NOT NULL);

-- Advanced Bot Protection: requests and the conditions that decided on them
CREATE OR REPLACE VIEW abp_events AS
SELECT
    event_time,
    device_product AS dataset,
    account_id,
    account_name,
    site_id,
    site_name,
    client_ip,
    client_address,
    client_subnet,
    client_country_code,
    client_application,
    client_type,
    request_id,
    user_agent,
    http_method,
    url_host,
    url_path,
    query_string,
    action,
    outcome,
    bot_classification,
    rule_names,
    coalesce(json_extract_string(rule_info, '$.customer_request_id'), extra['imperva.abp.customer_request_id']) AS customer_request_id,
    coalesce(json_extract_string(rule_info, '$.request_type'), extra['imperva.abp.request_type']) AS request_type,
    coalesce(json_extract_string(rule_info, '$.policy_id'), extra['imperva.abp.policy_id']) AS policy_id,
    coalesce(json_extract_string(rule_info, '$.policy_name'), extra['imperva.abp.policy_name']) AS policy_name,
    coalesce(json_extract_string(rule_info, '$.selector'), extra['imperva.abp.selector']) AS selector,
    coalesce(json_extract_string(rule_info, '$.selector_derived_id'), extra['imperva.abp.selector_derived_id']) AS selector_derived_id,
    coalesce(json_extract_string(rule_info, '$.monitor_action'), extra['imperva.abp.monitor_action']) AS monitor_action,
    coalesce(json_extract_string(rule_info, '$.category'), extra['imperva.abp.category']) AS category,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.bot_behaviors'), extra['imperva.abp.bot_behaviors']) AS JSON) AS VARCHAR[]) AS bot_behaviors,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.bot_violations'), extra['imperva.abp.bot_violations']) AS JSON) AS VARCHAR[]) AS bot_violations,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.bot_deciding_condition_ids'), extra['imperva.abp.bot_deciding_condition_ids']) AS JSON) AS VARCHAR[]) AS bot_deciding_condition_ids,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.bot_deciding_condition_names'), extra['imperva.abp.bot_deciding_condition_names']) AS JSON) AS VARCHAR[]) AS bot_deciding_condition_names,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.bot_triggered_condition_ids'), extra['imperva.abp.bot_triggered_condition_ids']) AS JSON) AS VARCHAR[]) AS bot_triggered_condition_ids,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.bot_triggered_condition_names'), extra['imperva.abp.bot_triggered_condition_names']) AS JSON) AS VARCHAR[]) AS bot_triggered_condition_names,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.triggered_tags'), extra['imperva.abp.triggered_tags']) AS JSON) AS VARCHAR[]) AS triggered_tags,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.deciding_tags'), extra['imperva.abp.deciding_tags']) AS JSON) AS VARCHAR[]) AS deciding_tags,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.apollo_rule_versions'), extra['imperva.abp.apollo_rule_versions']) AS JSON) AS VARCHAR[]) AS apollo_rule_versions,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.header_names'), extra['imperva.abp.header_names']) AS JSON) AS VARCHAR[]) AS header_names,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.header_lengths'), extra['imperva.abp.header_lengths']) AS JSON) AS VARCHAR[]) AS header_lengths,
    TRY_CAST(TRY_CAST(coalesce(json_extract_string(rule_info, '$.cookie_names'), extra['imperva.abp.cookie_names']) AS JSON) AS VARCHAR[]) AS cookie_names,
    coalesce(json_extract_string(rule_info, '$.headers_referer'), extra['imperva.abp.headers_referer']) AS headers_referer,
    coalesce(json_extract_string(rule_info, '$.tls_fingerprint'), extra['imperva.abp.tls_fingerprint']) AS tls_fingerprint,
    TRY_CAST(coalesce(json_extract_string(rule_info, '$.tcp_rtt_ms'), extra['imperva.abp.tcp_rtt_ms']) AS DOUBLE) AS tcp_rtt_ms,
    TRY_CAST(coalesce(json_extract_string(rule_info, '$.tls_rtt_ms'), extra['imperva.abp.tls_rtt_ms']) AS DOUBLE) AS tls_rtt_ms,
    coalesce(json_extract_string(rule_info, '$.token_id'), extra['imperva.abp.token_id']) AS token_id,
    coalesce(json_extract_string(rule_info, '$.random_id'), extra['imperva.abp.random_id']) AS random_id,
    coalesce(json_extract_string(rule_info, '$.zuid'), extra['imperva.abp.zuid']) AS zuid,
    coalesce(json_extract_string(rule_info, '$.zid'), extra['imperva.abp.zid']) AS zid,
    coalesce(json_extract_string(rule_info, '$.fpid'), extra['imperva.abp.fpid']) AS fpid,
    coalesce(json_extract_string(rule_info, '$.pid'), extra['imperva.abp.pid']) AS pid,
    coalesce(json_extract_string(rule_info, '$.hsig'), extra['imperva.abp.hsig']) AS hsig,
    TRY_CAST(coalesce(json_extract_string(rule_info, '$.requests_per_minute'), extra['imperva.abp.requests_per_minute']) AS DOUBLE) AS requests_per_minute,
    TRY_CAST(coalesce(json_extract_string(rule_info, '$.requests_per_session'), extra['imperva.abp.requests_per_session']) AS DOUBLE) AS requests_per_session,
    TRY_CAST(coalesce(json_extract_string(rule_info, '$.session_length_seconds'), extra['imperva.abp.session_length_seconds']) AS DOUBLE) AS session_length_seconds,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('ABP') OR upper(device_vendor) IN ('ABP') OR rule_info IS NOT NULL);

-- Network security (DDoS protection): no field of it is public, so all is in `extra`
CREATE OR REPLACE VIEW netsec_events AS
SELECT
    event_time,
    device_product AS dataset,
    account_id,
    account_name,
    site_id,
    site_name,
    client_ip,
    client_address,
    action,
    extra['message'] AS message,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('CONNECTION', 'NETFLOW', 'IP', 'ATTACK', 'NOTIFICATIONS') OR upper(device_vendor) IN ('NETSEC'));

-- DNS security
CREATE OR REPLACE VIEW dns_events AS
SELECT
    event_time,
    device_product AS dataset,
    coalesce(account_id, TRY_CAST(extra['account_id'] AS BIGINT)) AS account_id,
    coalesce(account_name, extra['account_name']) AS account_name,
    extra['zone_id'] AS zone_id,
    extra['zone_name'] AS zone_name,
    coalesce(client_ip, extra['ip']) AS client_ip,
    extra['destination_addr'] AS destination_addr,
    extra['query_hostname'] AS query_hostname,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('DNSMS_SECURITY_LOGS') OR upper(device_vendor) IN ('DNS', 'DNSMS') OR extra['query_hostname'] IS NOT NULL);
