"""The --metrics flag: where the rows of a run go besides its Parquet tables (CSV files, BigQuery)."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import google.auth
import google.auth.exceptions
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from foveate.archive.rows import Failure, MetricsRow, RunLabels
from foveate.archive.tables import FAILURES_FOLDER, METRICS_FOLDER
from foveate.pipelines.running import engines
from foveate.transforms.sinks import WriteBigQuery, WriteCsv

_BIGQUERY = re.compile(r"bigquery://(?P<project>[a-z0-9.:-]+)/(?P<dataset>\w+)\.(?P<table>\w+)")


@dataclasses.dataclass(frozen=True)
class Sink:
    """CSV files beside the tables, or a BigQuery table ("project:dataset.table")."""

    table: str | None


def add_arguments(group: Any) -> None:
    """Adds --metrics."""
    group.add_argument(
        "--metrics",
        type=_sink,
        action="append",
        metavar="SINK",
        help="also write the rows to this sink: csv (files beside the archive's Parquet tables) or "
        "bigquery://PROJECT/DATASET.TABLE (failures go to TABLE_failures). May be repeated",
    )


def contradiction(sinks: Sequence[Sink], beam_flags: Sequence[str]) -> str:
    """Why a sink cannot be used, as a sentence; "" if it can."""
    options = PipelineOptions(list(beam_flags)).view_as(GoogleCloudOptions)
    if any(sink.table for sink in sinks) and not (options.temp_location or "").startswith("gs://"):
        return (
            "BigQuery loads rows from files in a bucket: name a place for them with --temp_location=gs://..."
        )
    if any(sink.table for sink in sinks) and engines.is_local(beam_flags):
        try:
            google.auth.default()
        except google.auth.exceptions.DefaultCredentialsError:  # Beam would wait for a person at a browser
            return "no Google credentials found; run `gcloud auth application-default login`"
    return ""


def write(sink: Sink, name: str, tables: tuple[Any, Any], run: RunLabels, part: str) -> None:
    """Wires one sink for the rows and failures of a run."""
    rows, failures = tables
    archive, run_id = run.archive, run.run_id
    if sink.table is None:
        rows | f"Write metrics to {name}" >> WriteCsv(archive, METRICS_FOLDER, run_id, MetricsRow, part)
        failures | f"Write failures to {name}" >> WriteCsv(archive, FAILURES_FOLDER, run_id, Failure, part)
        return
    rows | f"Write metrics to {name}" >> WriteBigQuery(sink.table, run_id, MetricsRow)
    failures | f"Write failures to {name}" >> WriteBigQuery(f"{sink.table}_failures", run_id, Failure)


def _sink(text: str) -> Sink:
    if text == "csv":
        return Sink(None)
    named = _BIGQUERY.fullmatch(text)
    if named is None:
        raise argparse.ArgumentTypeError(f"must be csv or bigquery://PROJECT/DATASET.TABLE, not {text}")
    return Sink(f"{named['project']}:{named['dataset']}.{named['table']}")
