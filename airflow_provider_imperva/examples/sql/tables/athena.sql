-- The lake's events, quarantine and logs as tables of Athena (Glue Data Catalog), without the lake's Delta table. Put
-- the lake's root in place of {lake}, the ids of your repositories in place of {repositories}, separated by commas,
-- and the first day of your data in place of {first_day}. Partitions are projected: no crawler has to run, and a new
-- day is there at once.
CREATE EXTERNAL TABLE events (
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
    src_compressed boolean
)
PARTITIONED BY (
    repository string,
    event_class string,
    event_date date
)
STORED AS PARQUET
LOCATION '{lake}/events/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.repository.type' = 'enum',
    'projection.repository.values' = '{repositories}',
    'projection.event_class.type' = 'enum',
    'projection.event_class.values' = 'access,security,attack_analytics,other',
    'projection.event_date.type' = 'date',
    'projection.event_date.format' = 'yyyy-MM-dd',
    'projection.event_date.range' = '{first_day},NOW+1DAYS',
    'storage.location.template' =
        '{lake}/events/repository=${repository}/event_class=${event_class}/event_date=${event_date}/'
);

CREATE EXTERNAL TABLE quarantine (
    src_file string,
    src_seq bigint,
    src_line bigint,
    reason string,
    raw binary,
    src_account_id bigint,
    src_config_id bigint,
    src_format string
)
PARTITIONED BY (
    repository string
)
STORED AS PARQUET
LOCATION '{lake}/quarantine/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.repository.type' = 'enum',
    'projection.repository.values' = '{repositories}',
    'storage.location.template' = '{lake}/quarantine/repository=${repository}/'
);

-- What each commit says of its logs, of the commits that a compaction has gathered: all but the last thousand or so. Of
-- several rows of a log that of the highest commit counts. Athena cannot read the others, since objects of another
-- format lie beside them.
CREATE EXTERNAL TABLE ledger_logs (
    `name` string,
    `prefix` string,
    `sequence` bigint,
    `sequence_to` bigint,
    `state` string,
    `first_listed_at` timestamp,
    `fetched_at` timestamp,
    `raw_key` string,
    `raw_bytes` bigint,
    `raw_sha256` string,
    `replaced_sha256` string,
    `account_id` bigint,
    `config_id` bigint,
    `checksum` string,
    `format` string,
    `start_time` timestamp,
    `end_time` timestamp,
    `public_key_id` string,
    `encrypted` boolean,
    `compressed` boolean,
    `checksum_ok` boolean,
    `lines` bigint,
    `rows` bigint,
    `quarantined_lines` bigint,
    `late` boolean,
    `reason` string,
    `delivered_as` string,
    `content_sha256` string,
    `reason_code` string,
    `rows_digest` string,
    `expired_lines` bigint,
    `erased_lines` bigint,
    `raw_removed` string,
    `note_removed` boolean,
    `data_key` string,
    `stored_bytes` bigint,
    `stored_sha256` string,
    `commit` bigint
)
PARTITIONED BY (
    repository string
)
STORED AS PARQUET
LOCATION '{lake}/reports/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.repository.type' = 'enum',
    'projection.repository.values' = '{repositories}',
    'storage.location.template' = '{lake}/reports/repository=${repository}/logs/'
);
