"""An Airflow DAG that compresses new photos every night; put it and launch.json into the folder of DAGs.

Unlike Cloud Scheduler it waits for the job's end, tries again after a failure (a run resumes where the last
one stopped), and never starts a run while the one before still works.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from airflow import DAG
from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator

LAUNCH = Path(__file__).with_name("launch.json")

with DAG(
    dag_id="foveate_nightly",
    schedule="0 2 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": datetime.timedelta(minutes=10)},
) as dag:
    DataflowStartFlexTemplateOperator(
        task_id="compress",
        project_id="{{ var.value.foveate_project }}",
        location="{{ var.value.foveate_region }}",
        body=json.loads(LAUNCH.read_text()),
        append_job_name=True,
        expected_terminal_state="JOB_STATE_DONE",
    )
