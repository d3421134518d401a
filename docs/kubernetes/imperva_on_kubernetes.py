"""A DAG whose tasks run in pods of a template of their own."""

from airflow_provider_imperva.dag import imperva_logs_dag

POD = {"pod_template_file": "/opt/airflow/pod_templates/imperva-pod.yaml"}

dag = imperva_logs_dag(
    "imperva_on_kubernetes",
    lake_uri="s3://bucket/lake",
    lake_conn_id="aws_default",
    task_options={task: {"executor_config": POD} for task in ("plan", "fetch", "normalize", "commit")},
)
