"""What Airflow's user interface gains: the coverage page, in the navigation and on each DAG."""
