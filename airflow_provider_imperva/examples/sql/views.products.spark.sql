-- Events of Imperva's other products with typed columns, over events: Spark and Databricks (after tables/spark.sql; put committed_events in place of events).
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
    try_element_at(extra, 'user.email') AS user_email,
    try_element_at(extra, 'user.name') AS user_name,
    try_element_at(extra, 'imperva.audit_trail.assumed_by') AS assumed_by,
    try_element_at(extra, 'imperva.audit_trail.event_action') AS event_action,
    try_element_at(extra, 'imperva.audit_trail.event_action_description') AS event_action_description,
    try_element_at(extra, 'imperva.audit_trail.resource_type') AS resource_type,
    try_element_at(extra, 'imperva.audit_trail.resource_type_description') AS resource_type_description,
    try_element_at(extra, 'imperva.audit_trail.resource_id') AS resource_id,
    try_element_at(extra, 'imperva.audit_trail.resource_name') AS resource_name,
    try_element_at(extra, 'imperva.audit_trail.event_context') AS event_context,
    try_element_at(extra, 'imperva.audit_trail.event_context_description') AS event_context_description,
    try_element_at(extra, 'message') AS message,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('AUDIT_TRAIL') OR upper(device_vendor) IN ('AUDIT') OR try_element_at(extra, 'imperva.audit_trail.event_action') IS NOT NULL);

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
    try_element_at(extra, 'imperva.event_type') AS event_type,
    try_element_at(extra, 'imperva.risk_level') AS risk_level,
    try_element_at(extra, 'imperva.risk_reason') AS risk_reason,
    try_element_at(extra, 'imperva.request_user') AS request_user,
    try_element_at(extra, 'imperva.path') AS path,
    try_element_at(extra, 'imperva.fingerprint') AS fingerprint,
    from_json(try_element_at(extra, 'imperva.device_reputation'), 'array<string>') AS device_reputation,
    try_cast(try_element_at(extra, 'imperva.credentials_leaked') AS boolean) AS credentials_leaked,
    try_cast(try_element_at(extra, 'imperva.failed_logins_last_24h') AS bigint) AS failed_logins_last_24h,
    try_cast(try_element_at(extra, 'imperva.successful_logins_last_24h') AS bigint) AS successful_logins_last_24h,
    from_json(try_element_at(extra, 'imperva.additional_factors'), 'array<string>') AS additional_factors,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('ATO') OR upper(device_vendor) IN ('ATO') OR try_element_at(extra, 'imperva.risk_level') IS NOT NULL);

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
    coalesce(get_json_object(rule_info, '$.customer_request_id'), try_element_at(extra, 'imperva.abp.customer_request_id')) AS customer_request_id,
    coalesce(get_json_object(rule_info, '$.request_type'), try_element_at(extra, 'imperva.abp.request_type')) AS request_type,
    coalesce(get_json_object(rule_info, '$.policy_id'), try_element_at(extra, 'imperva.abp.policy_id')) AS policy_id,
    coalesce(get_json_object(rule_info, '$.policy_name'), try_element_at(extra, 'imperva.abp.policy_name')) AS policy_name,
    coalesce(get_json_object(rule_info, '$.selector'), try_element_at(extra, 'imperva.abp.selector')) AS selector,
    coalesce(get_json_object(rule_info, '$.selector_derived_id'), try_element_at(extra, 'imperva.abp.selector_derived_id')) AS selector_derived_id,
    coalesce(get_json_object(rule_info, '$.monitor_action'), try_element_at(extra, 'imperva.abp.monitor_action')) AS monitor_action,
    coalesce(get_json_object(rule_info, '$.category'), try_element_at(extra, 'imperva.abp.category')) AS category,
    from_json(coalesce(get_json_object(rule_info, '$.bot_behaviors'), try_element_at(extra, 'imperva.abp.bot_behaviors')), 'array<string>') AS bot_behaviors,
    from_json(coalesce(get_json_object(rule_info, '$.bot_violations'), try_element_at(extra, 'imperva.abp.bot_violations')), 'array<string>') AS bot_violations,
    from_json(coalesce(get_json_object(rule_info, '$.bot_deciding_condition_ids'), try_element_at(extra, 'imperva.abp.bot_deciding_condition_ids')), 'array<string>') AS bot_deciding_condition_ids,
    from_json(coalesce(get_json_object(rule_info, '$.bot_deciding_condition_names'), try_element_at(extra, 'imperva.abp.bot_deciding_condition_names')), 'array<string>') AS bot_deciding_condition_names,
    from_json(coalesce(get_json_object(rule_info, '$.bot_triggered_condition_ids'), try_element_at(extra, 'imperva.abp.bot_triggered_condition_ids')), 'array<string>') AS bot_triggered_condition_ids,
    from_json(coalesce(get_json_object(rule_info, '$.bot_triggered_condition_names'), try_element_at(extra, 'imperva.abp.bot_triggered_condition_names')), 'array<string>') AS bot_triggered_condition_names,
    from_json(coalesce(get_json_object(rule_info, '$.triggered_tags'), try_element_at(extra, 'imperva.abp.triggered_tags')), 'array<string>') AS triggered_tags,
    from_json(coalesce(get_json_object(rule_info, '$.deciding_tags'), try_element_at(extra, 'imperva.abp.deciding_tags')), 'array<string>') AS deciding_tags,
    from_json(coalesce(get_json_object(rule_info, '$.apollo_rule_versions'), try_element_at(extra, 'imperva.abp.apollo_rule_versions')), 'array<string>') AS apollo_rule_versions,
    from_json(coalesce(get_json_object(rule_info, '$.header_names'), try_element_at(extra, 'imperva.abp.header_names')), 'array<string>') AS header_names,
    from_json(coalesce(get_json_object(rule_info, '$.header_lengths'), try_element_at(extra, 'imperva.abp.header_lengths')), 'array<string>') AS header_lengths,
    from_json(coalesce(get_json_object(rule_info, '$.cookie_names'), try_element_at(extra, 'imperva.abp.cookie_names')), 'array<string>') AS cookie_names,
    coalesce(get_json_object(rule_info, '$.headers_referer'), try_element_at(extra, 'imperva.abp.headers_referer')) AS headers_referer,
    coalesce(get_json_object(rule_info, '$.tls_fingerprint'), try_element_at(extra, 'imperva.abp.tls_fingerprint')) AS tls_fingerprint,
    try_cast(coalesce(get_json_object(rule_info, '$.tcp_rtt_ms'), try_element_at(extra, 'imperva.abp.tcp_rtt_ms')) AS double) AS tcp_rtt_ms,
    try_cast(coalesce(get_json_object(rule_info, '$.tls_rtt_ms'), try_element_at(extra, 'imperva.abp.tls_rtt_ms')) AS double) AS tls_rtt_ms,
    coalesce(get_json_object(rule_info, '$.token_id'), try_element_at(extra, 'imperva.abp.token_id')) AS token_id,
    coalesce(get_json_object(rule_info, '$.random_id'), try_element_at(extra, 'imperva.abp.random_id')) AS random_id,
    coalesce(get_json_object(rule_info, '$.zuid'), try_element_at(extra, 'imperva.abp.zuid')) AS zuid,
    coalesce(get_json_object(rule_info, '$.zid'), try_element_at(extra, 'imperva.abp.zid')) AS zid,
    coalesce(get_json_object(rule_info, '$.fpid'), try_element_at(extra, 'imperva.abp.fpid')) AS fpid,
    coalesce(get_json_object(rule_info, '$.pid'), try_element_at(extra, 'imperva.abp.pid')) AS pid,
    coalesce(get_json_object(rule_info, '$.hsig'), try_element_at(extra, 'imperva.abp.hsig')) AS hsig,
    try_cast(coalesce(get_json_object(rule_info, '$.requests_per_minute'), try_element_at(extra, 'imperva.abp.requests_per_minute')) AS double) AS requests_per_minute,
    try_cast(coalesce(get_json_object(rule_info, '$.requests_per_session'), try_element_at(extra, 'imperva.abp.requests_per_session')) AS double) AS requests_per_session,
    try_cast(coalesce(get_json_object(rule_info, '$.session_length_seconds'), try_element_at(extra, 'imperva.abp.session_length_seconds')) AS double) AS session_length_seconds,
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
    try_element_at(extra, 'message') AS message,
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
    coalesce(account_id, try_cast(try_element_at(extra, 'account_id') AS bigint)) AS account_id,
    coalesce(account_name, try_element_at(extra, 'account_name')) AS account_name,
    try_element_at(extra, 'zone_id') AS zone_id,
    try_element_at(extra, 'zone_name') AS zone_name,
    coalesce(client_ip, try_element_at(extra, 'ip')) AS client_ip,
    try_element_at(extra, 'destination_addr') AS destination_addr,
    try_element_at(extra, 'query_hostname') AS query_hostname,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('DNSMS_SECURITY_LOGS') OR upper(device_vendor) IN ('DNS', 'DNSMS') OR try_element_at(extra, 'query_hostname') IS NOT NULL);
