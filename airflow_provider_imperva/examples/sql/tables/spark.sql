-- The lake as tables of Spark, without its Delta table. Put the lake's root in place of {lake}. A table shows nothing
-- before its MSCK REPAIR TABLE, which is to be run again after new days have come.
CREATE TABLE events (
    event_time timestamp,
    end_time timestamp,
    duration_ms bigint,
    event_name string,
    rule_type_code smallint,
    action string,
    outcome string,
    account_id bigint,
    account_name string,
    account_ref string,
    site_id bigint,
    site_name string,
    site_ref string,
    session_id string,
    request_id string,
    visitor_id string,
    client_ip string,
    client_port int,
    client_edge_ip string,
    x_forwarded_for array<string>,
    client_country_code string,
    client_city string,
    client_latitude double,
    client_longitude double,
    user_agent string,
    client_application string,
    client_type string,
    client_signature string,
    captcha_support string,
    javascript_support boolean,
    cookie_support boolean,
    pop string,
    server_ip string,
    server_port int,
    protocol string,
    tls string,
    tls_version string,
    tls_cipher string,
    http_method string,
    url string,
    url_host string,
    url_path string,
    query_string string,
    referrer string,
    request_body string,
    http_status smallint,
    response_bytes bigint,
    attack_type_codes array<string>,
    attack_ids array<string>,
    rule_names array<string>,
    delivery_rules string,
    rule_info string,
    additional_request_headers string,
    additional_response_headers string,
    device_vendor string,
    device_product string,
    device_version string,
    signature_id string,
    is_alert boolean,
    severity string,
    bot_classification string,
    violations array<struct<attack_type:string,attack_type_name:string,attack_id:string,rule_name:string,rule_info:string>>,
    client_address string,
    client_address_bytes binary,
    client_subnet string,
    incident_id string,
    request_headers map<string,array<string>>,
    response_headers map<string,array<string>>,
    analytics_severity string,
    analytics_host string,
    analytics_events bigint,
    analytics_blocked_percent double,
    extra map<string,string>,
    parse_warnings array<string>,
    raw string,
    src_file string,
    src_seq bigint,
    src_line bigint,
    src_account_id bigint,
    src_config_id bigint,
    src_format string,
    src_file_start timestamp,
    src_file_end timestamp,
    src_checksum_ok boolean,
    src_encrypted boolean,
    src_compressed boolean,
    repository string,
    event_class string,
    event_date date
)
USING PARQUET
PARTITIONED BY (repository, event_class, event_date)
LOCATION '{lake}/events/';

MSCK REPAIR TABLE events;

CREATE TABLE quarantine (
    src_file string,
    src_seq bigint,
    src_line bigint,
    reason string,
    raw binary,
    src_account_id bigint,
    src_config_id bigint,
    src_format string,
    repository string
)
USING PARQUET
PARTITIONED BY (repository)
LOCATION '{lake}/quarantine/';

MSCK REPAIR TABLE quarantine;

-- What each commit says of its logs. Of several rows of a log that of the highest commit_number counts.
CREATE TABLE ledger_logs
USING PARQUET
OPTIONS (path '{lake}/ledger/', pathGlobFilter '*.logs.parquet', recursiveFileLookup 'true', mergeSchema 'true');

CREATE VIEW logs AS
SELECT
    *,
    regexp_extract(_metadata.file_path, 'repository=([^/]+)/', 1) AS repository,
    regexp_extract(_metadata.file_path, '([0-9]+)[.]logs[.]parquet$', 1) AS commit_number
FROM ledger_logs;

CREATE TABLE ledger_commits (
    parts array<struct<path: string>>,
    removed array<struct<path: string>>
)
USING JSON
OPTIONS (
    path '{lake}/ledger/', pathGlobFilter '*.commit.json', recursiveFileLookup 'true', multiLine 'true'
);

-- Committed events only: files of a run under way, and those that others have replaced, are left out. Always ask for a
-- period by event_date: other days' files are not opened then.
CREATE VIEW committed_events AS
SELECT *
FROM events
WHERE regexp_extract(_metadata.file_path, '(events/repository=.*)$', 1) IN (
    SELECT explode(parts.path) FROM ledger_commits
    EXCEPT
    SELECT explode(removed.path) FROM ledger_commits
);
