"""Tests rows for other programs: CSV files, and requests to BigQuery's API."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import math
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import google.auth
import google.auth.exceptions
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from google.auth.credentials import AnonymousCredentials

from foveate.archive.rows import Failure, MetricsRow
from foveate.archive.tables import FAILURES_FOLDER, METRICS_FOLDER, read_metrics
from foveate.pipelines.cli import main
from foveate.transforms.sinks import WriteBigQuery, WriteCsv, bigquery_row, bigquery_schema
from tests import servers
from tests.archive.test_tables import a_failure, a_row
from tests.servers import Answer, Listener, Request

BUCKET = "temporary-files"


def test_a_runs_rows_are_one_csv_file(tmp_path: Path) -> None:
    rows = [a_row('a, "b".jpg', psnr_db=math.inf), a_row("ä\nü.jpg", outcome="kept", width=None)]
    with TestPipeline(runner="FnApiRunner") as root:
        root | "Rows" >> beam.Create(rows) | WriteCsv(str(tmp_path), METRICS_FOLDER, "r1", MetricsRow)
        failures = root | "Failures" >> beam.Create([a_failure()])
        failures | "CSV" >> WriteCsv(str(tmp_path), FAILURES_FOLDER, "r1", Failure, "17")
    with (tmp_path / "_foveate/metrics/run=r1/00000.csv").open(encoding="utf-8", newline="") as file:
        found = {line["relative_path"]: line for line in csv.DictReader(file)}
    assert list(found['a, "b".jpg']) == [field.name for field in dataclasses.fields(MetricsRow)]
    assert found['a, "b".jpg']["psnr_db"] == "inf" and found["ä\nü.jpg"]["width"] == ""
    time = datetime.datetime.fromisoformat(found["ä\nü.jpg"]["finished"])
    assert time == rows[1].finished
    lines = (tmp_path / "_foveate/failures/run=r1/17-00000.csv").read_text().splitlines()
    assert lines[0].startswith("url,step,error_type") and len(lines) == 2
    assert len(read_metrics(str(tmp_path))) == 0  # it is no table of the archive's


def test_a_run_writes_csv_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(b"no photo")
    arguments = ["compress", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--roi=none", "--reccnn=off", "--metrics=csv"]) == 3
    (place,) = (tmp_path / "out/_foveate/failures").rglob("*.csv")
    assert "not a picture" in place.read_text()


@pytest.mark.parametrize("sink", ["tsv", "bigquery://project", "bigquery://project/table", "bigquery:p.d.t"])
def test_an_unknown_sink_is_wrong_usage(sink: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compress", "in", "--output", "out", f"--metrics={sink}"])
    assert "bigquery://PROJECT/DATASET.TABLE" in capsys.readouterr().err


def test_bigquery_wants_a_bucket_for_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = "--metrics=bigquery://project/photos.metrics"
    assert main(["compress", str(tmp_path), "--output", str(tmp_path / "out"), sink]) == 2
    assert "--temp_location=gs://" in capsys.readouterr().err


def test_bigquery_without_credentials_fails_at_once_without_waiting_for_a_browser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(**_: Any) -> Any:
        raise google.auth.exceptions.DefaultCredentialsError("none")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(google.auth, "default", nobody)
    flags = ("--metrics=bigquery://project/photos.metrics", "--temp_location=gs://bucket/temp")
    assert main(["compress", str(tmp_path), "--output", str(tmp_path / "out"), *flags]) == 2
    assert "credentials" in capsys.readouterr().err


def test_the_schema_is_the_row_dataclasss() -> None:
    fields = {
        field["name"]: (field["type"], field["mode"]) for field in bigquery_schema(MetricsRow)["fields"]
    }
    assert list(fields) == [field.name for field in dataclasses.fields(MetricsRow)]
    assert fields["source_bytes"] == ("INTEGER", "REQUIRED") and fields["width"] == ("INTEGER", "NULLABLE")
    assert fields["psnr_db"] == ("FLOAT", "NULLABLE") and fields["comcnn_used"] == ("BOOLEAN", "NULLABLE")
    assert fields["finished"] == ("TIMESTAMP", "REQUIRED") and fields["outcome"] == ("STRING", "REQUIRED")
    assert [field["name"] for field in bigquery_schema(Failure)["fields"]][-1] == "run_id"


def test_a_row_is_a_line_of_json_that_a_load_job_takes() -> None:
    row = bigquery_row(a_row(psnr_db=math.inf, mse=-math.inf, ssim=math.nan), "r1")
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["psnr_db"], row["mse"], row["ssim"]) == ("Infinity", "-Infinity", "NaN")
    assert row["finished"] == "2026-03-01T12:00:00+00:00"


@dataclasses.dataclass
class BigQuery:
    """A server that reports every load job as done, and records requests."""

    jobs: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def answer(self, request: Request) -> Answer:
        parts = urllib.parse.unquote(request.path).strip("/").split("/")
        if request.method == "POST" and parts[-1] == "jobs":
            job = json.loads(request.body)
            self.jobs[job["jobReference"]["jobId"]] = job
            return self._json(job | {"status": {"state": "DONE"}})
        if request.method == "GET" and parts[-2] == "jobs":
            return self._json(self.jobs[parts[-1]] | {"status": {"state": "DONE"}})
        if request.method == "GET" and "datasets" in parts and "tables" not in parts:
            return self._json({"datasetReference": {"datasetId": parts[-1]}, "location": "EU"})
        return self._json({"error": {"code": 404, "message": f"no {request.path}"}}, 404)

    def _json(self, value: dict[str, Any], status: int = 200) -> Answer:
        return Answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BigQuery, Listener]]:
    """BigQuery's REST API, and a bucket for the files that it is to load."""
    from apache_beam.internal.gcp import auth
    from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2

    monkeypatch.setattr(auth._Credentials, "_credentials_init", True)
    nobody: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(auth._Credentials, "_credentials", auth._ApitoolsCredentialsAdapter(nobody))
    monkeypatch.setattr(google.auth, "default", lambda **_: (nobody, "project"))
    server = BigQuery()
    with (
        servers.google_emulator(BUCKET) as bucket,
        servers.listening(0) as api,
        servers.environment(STORAGE_EMULATOR_HOST=bucket.url, BIGQUERY_EMULATOR_HOST=api.url),
    ):
        api.meddle = server.answer
        monkeypatch.setattr(BigqueryV2, "BASE_URL", f"{api.url}/bigquery/v2/")
        yield server, bucket


@pytest.mark.timeout(120)
def test_rows_are_loaded_by_one_job_of_the_files_in_a_bucket(bigquery: tuple[BigQuery, Listener]) -> None:
    server, bucket = bigquery
    rows = [a_row(f"{number}.jpg", psnr_db=math.inf) for number in range(3)]
    flags = {"project": "project", "temp_location": f"gs://{BUCKET}/temp"}
    options = beam.options.pipeline_options.PipelineOptions(flags=[], **flags)
    with TestPipeline(runner="FnApiRunner", options=options) as root:
        root | beam.Create(rows) | WriteBigQuery("project:photos.metrics", "r1", MetricsRow)
    loads = [job["configuration"]["load"] for job in server.jobs.values() if "load" in job["configuration"]]
    (load,) = loads
    assert load["destinationTable"] == {"projectId": "project", "datasetId": "photos", "tableId": "metrics"}
    assert load["sourceFormat"] == "NEWLINE_DELIMITED_JSON"
    assert (load["createDisposition"], load["writeDisposition"]) == ("CREATE_IF_NEEDED", "WRITE_APPEND")
    assert load["schema"]["fields"] == bigquery_schema(MetricsRow)["fields"]
    (url,) = load["sourceUris"]
    put = [request for request in bucket.requests if request.path.startswith("/upload/")]
    assert url.startswith(f"gs://{BUCKET}/temp/") and put
    lines = b"".join(request.body for request in put)
    assert all(json.dumps(bigquery_row(row, "r1"), ensure_ascii=False).encode() in lines for row in rows)
