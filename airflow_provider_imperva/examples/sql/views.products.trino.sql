-- Events of Imperva's other products with typed columns, over events: Trino and Athena (after tables/athena.sql, or over the Delta table).
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
    element_at(extra, 'user.email') AS user_email,
    element_at(extra, 'user.name') AS user_name,
    element_at(extra, 'imperva.audit_trail.assumed_by') AS assumed_by,
    element_at(extra, 'imperva.audit_trail.event_action') AS event_action,
    element_at(extra, 'imperva.audit_trail.event_action_description') AS event_action_description,
    element_at(extra, 'imperva.audit_trail.resource_type') AS resource_type,
    element_at(extra, 'imperva.audit_trail.resource_type_description') AS resource_type_description,
    element_at(extra, 'imperva.audit_trail.resource_id') AS resource_id,
    element_at(extra, 'imperva.audit_trail.resource_name') AS resource_name,
    element_at(extra, 'imperva.audit_trail.event_context') AS event_context,
    element_at(extra, 'imperva.audit_trail.event_context_description') AS event_context_description,
    element_at(extra, 'message') AS message,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('AUDIT_TRAIL') OR upper(device_vendor) IN ('AUDIT') OR element_at(extra, 'imperva.audit_trail.event_action') IS NOT NULL);

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
    element_at(extra, 'imperva.event_type') AS event_type,
    element_at(extra, 'imperva.risk_level') AS risk_level,
    element_at(extra, 'imperva.risk_reason') AS risk_reason,
    element_at(extra, 'imperva.request_user') AS request_user,
    element_at(extra, 'imperva.path') AS path,
    element_at(extra, 'imperva.fingerprint') AS fingerprint,
    TRY(CAST(json_parse(element_at(extra, 'imperva.device_reputation')) AS array(varchar))) AS device_reputation,
    TRY_CAST(element_at(extra, 'imperva.credentials_leaked') AS boolean) AS credentials_leaked,
    TRY_CAST(element_at(extra, 'imperva.failed_logins_last_24h') AS bigint) AS failed_logins_last_24h,
    TRY_CAST(element_at(extra, 'imperva.successful_logins_last_24h') AS bigint) AS successful_logins_last_24h,
    TRY(CAST(json_parse(element_at(extra, 'imperva.additional_factors')) AS array(varchar))) AS additional_factors,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('ATO') OR upper(device_vendor) IN ('ATO') OR element_at(extra, 'imperva.risk_level') IS NOT NULL);

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
    coalesce(coalesce(json_extract_scalar(rule_info, '$.customer_request_id'), json_format(json_extract(rule_info, '$.customer_request_id'))), element_at(extra, 'imperva.abp.customer_request_id')) AS customer_request_id,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.request_type'), json_format(json_extract(rule_info, '$.request_type'))), element_at(extra, 'imperva.abp.request_type')) AS request_type,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.policy_id'), json_format(json_extract(rule_info, '$.policy_id'))), element_at(extra, 'imperva.abp.policy_id')) AS policy_id,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.policy_name'), json_format(json_extract(rule_info, '$.policy_name'))), element_at(extra, 'imperva.abp.policy_name')) AS policy_name,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.selector'), json_format(json_extract(rule_info, '$.selector'))), element_at(extra, 'imperva.abp.selector')) AS selector,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.selector_derived_id'), json_format(json_extract(rule_info, '$.selector_derived_id'))), element_at(extra, 'imperva.abp.selector_derived_id')) AS selector_derived_id,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.monitor_action'), json_format(json_extract(rule_info, '$.monitor_action'))), element_at(extra, 'imperva.abp.monitor_action')) AS monitor_action,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.category'), json_format(json_extract(rule_info, '$.category'))), element_at(extra, 'imperva.abp.category')) AS category,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.bot_behaviors'), json_format(json_extract(rule_info, '$.bot_behaviors'))), element_at(extra, 'imperva.abp.bot_behaviors'))) AS array(varchar))) AS bot_behaviors,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.bot_violations'), json_format(json_extract(rule_info, '$.bot_violations'))), element_at(extra, 'imperva.abp.bot_violations'))) AS array(varchar))) AS bot_violations,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.bot_deciding_condition_ids'), json_format(json_extract(rule_info, '$.bot_deciding_condition_ids'))), element_at(extra, 'imperva.abp.bot_deciding_condition_ids'))) AS array(varchar))) AS bot_deciding_condition_ids,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.bot_deciding_condition_names'), json_format(json_extract(rule_info, '$.bot_deciding_condition_names'))), element_at(extra, 'imperva.abp.bot_deciding_condition_names'))) AS array(varchar))) AS bot_deciding_condition_names,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.bot_triggered_condition_ids'), json_format(json_extract(rule_info, '$.bot_triggered_condition_ids'))), element_at(extra, 'imperva.abp.bot_triggered_condition_ids'))) AS array(varchar))) AS bot_triggered_condition_ids,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.bot_triggered_condition_names'), json_format(json_extract(rule_info, '$.bot_triggered_condition_names'))), element_at(extra, 'imperva.abp.bot_triggered_condition_names'))) AS array(varchar))) AS bot_triggered_condition_names,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.triggered_tags'), json_format(json_extract(rule_info, '$.triggered_tags'))), element_at(extra, 'imperva.abp.triggered_tags'))) AS array(varchar))) AS triggered_tags,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.deciding_tags'), json_format(json_extract(rule_info, '$.deciding_tags'))), element_at(extra, 'imperva.abp.deciding_tags'))) AS array(varchar))) AS deciding_tags,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.apollo_rule_versions'), json_format(json_extract(rule_info, '$.apollo_rule_versions'))), element_at(extra, 'imperva.abp.apollo_rule_versions'))) AS array(varchar))) AS apollo_rule_versions,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.header_names'), json_format(json_extract(rule_info, '$.header_names'))), element_at(extra, 'imperva.abp.header_names'))) AS array(varchar))) AS header_names,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.header_lengths'), json_format(json_extract(rule_info, '$.header_lengths'))), element_at(extra, 'imperva.abp.header_lengths'))) AS array(varchar))) AS header_lengths,
    TRY(CAST(json_parse(coalesce(coalesce(json_extract_scalar(rule_info, '$.cookie_names'), json_format(json_extract(rule_info, '$.cookie_names'))), element_at(extra, 'imperva.abp.cookie_names'))) AS array(varchar))) AS cookie_names,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.headers_referer'), json_format(json_extract(rule_info, '$.headers_referer'))), element_at(extra, 'imperva.abp.headers_referer')) AS headers_referer,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.tls_fingerprint'), json_format(json_extract(rule_info, '$.tls_fingerprint'))), element_at(extra, 'imperva.abp.tls_fingerprint')) AS tls_fingerprint,
    TRY_CAST(coalesce(coalesce(json_extract_scalar(rule_info, '$.tcp_rtt_ms'), json_format(json_extract(rule_info, '$.tcp_rtt_ms'))), element_at(extra, 'imperva.abp.tcp_rtt_ms')) AS double) AS tcp_rtt_ms,
    TRY_CAST(coalesce(coalesce(json_extract_scalar(rule_info, '$.tls_rtt_ms'), json_format(json_extract(rule_info, '$.tls_rtt_ms'))), element_at(extra, 'imperva.abp.tls_rtt_ms')) AS double) AS tls_rtt_ms,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.token_id'), json_format(json_extract(rule_info, '$.token_id'))), element_at(extra, 'imperva.abp.token_id')) AS token_id,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.random_id'), json_format(json_extract(rule_info, '$.random_id'))), element_at(extra, 'imperva.abp.random_id')) AS random_id,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.zuid'), json_format(json_extract(rule_info, '$.zuid'))), element_at(extra, 'imperva.abp.zuid')) AS zuid,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.zid'), json_format(json_extract(rule_info, '$.zid'))), element_at(extra, 'imperva.abp.zid')) AS zid,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.fpid'), json_format(json_extract(rule_info, '$.fpid'))), element_at(extra, 'imperva.abp.fpid')) AS fpid,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.pid'), json_format(json_extract(rule_info, '$.pid'))), element_at(extra, 'imperva.abp.pid')) AS pid,
    coalesce(coalesce(json_extract_scalar(rule_info, '$.hsig'), json_format(json_extract(rule_info, '$.hsig'))), element_at(extra, 'imperva.abp.hsig')) AS hsig,
    TRY_CAST(coalesce(coalesce(json_extract_scalar(rule_info, '$.requests_per_minute'), json_format(json_extract(rule_info, '$.requests_per_minute'))), element_at(extra, 'imperva.abp.requests_per_minute')) AS double) AS requests_per_minute,
    TRY_CAST(coalesce(coalesce(json_extract_scalar(rule_info, '$.requests_per_session'), json_format(json_extract(rule_info, '$.requests_per_session'))), element_at(extra, 'imperva.abp.requests_per_session')) AS double) AS requests_per_session,
    TRY_CAST(coalesce(coalesce(json_extract_scalar(rule_info, '$.session_length_seconds'), json_format(json_extract(rule_info, '$.session_length_seconds'))), element_at(extra, 'imperva.abp.session_length_seconds')) AS double) AS session_length_seconds,
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
    element_at(extra, 'message') AS message,
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
    coalesce(account_id, TRY_CAST(element_at(extra, 'account_id') AS bigint)) AS account_id,
    coalesce(account_name, element_at(extra, 'account_name')) AS account_name,
    element_at(extra, 'zone_id') AS zone_id,
    element_at(extra, 'zone_name') AS zone_name,
    coalesce(client_ip, element_at(extra, 'ip')) AS client_ip,
    element_at(extra, 'destination_addr') AS destination_addr,
    element_at(extra, 'query_hostname') AS query_hostname,
    extra,
    parse_warnings,
    src_file,
    src_line,
    repository,
    event_date
FROM events
WHERE event_class = 'other' AND (upper(device_product) IN ('DNSMS_SECURITY_LOGS') OR upper(device_vendor) IN ('DNS', 'DNSMS') OR element_at(extra, 'query_hostname') IS NOT NULL);
