"""Tests the script that starts a run every night."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
# Writes down what it is called with, and the request's body, which is gone afterwards.
GCLOUD = """#!/bin/sh
printf '%s\\n' "$@" >"$CALLED/arguments"
for argument; do
    case $argument in --message-body-from-file=*) cp "${argument#*=}" "$CALLED/body" ;; esac
done
"""


def test_cloud_scheduler_is_given_the_whole_request(tmp_path: Path) -> None:
    (tmp_path / "gcloud").write_text(GCLOUD)
    (tmp_path / "gcloud").chmod(0o755)
    variables = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLED": str(tmp_path)}
    command = [str(DEPLOY / "schedule.sh"), "my-project", "europe-west1", "my-bucket"]
    subprocess.run(command, env=variables, check=True)
    body = (tmp_path / "body").read_text()
    assert not any(place in body for place in ("PROJECT", "REGION", "BUCKET"))
    request = json.loads(body)["launchParameter"]
    assert request["parameters"]["sources"] == "gs://my-bucket/photos"
    assert request["environment"]["serviceAccountEmail"] == "foveate@my-project.iam.gserviceaccount.com"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:4] == ["scheduler", "jobs", "create", "http"]
    place = "https://dataflow.googleapis.com/v1b3/projects/my-project/locations/europe-west1"
    assert f"--uri={place}/flexTemplates:launch" in arguments


def test_a_missing_argument_is_wrong_usage() -> None:
    done = subprocess.run(
        [str(DEPLOY / "schedule.sh"), "my-project"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage: " in done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(
        ["shellcheck", str(DEPLOY / "schedule.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_dag_runs_once_a_night_and_never_twice_at_once() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse((DEPLOY / "airflow.py").read_text()))
        if isinstance(node, ast.Call)
    ]
    (dag,) = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "DAG")
    given = {keyword.arg: keyword.value for keyword in dag.keywords}
    assert ast.literal_eval(given["max_active_runs"]) == 1
    assert ast.literal_eval(given["catchup"]) is False
    assert len(ast.literal_eval(given["schedule"]).split()) == 5


def test_airflow_takes_the_dag() -> None:
    models = pytest.importorskip("airflow.models", reason="Airflow is not installed")
    pytest.importorskip("airflow.providers.google", reason="Airflow's Google provider is not installed")
    bag = models.DagBag(str(DEPLOY / "airflow.py"), include_examples=False)
    assert not bag.import_errors
    assert list(bag.dags) == ["foveate_nightly"]
