from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from apache_beam.runners.worker import sdk_worker_main

from foveate.pipelines.running import engines
from foveate.pipelines.shared_flags import parse_beam_flags

ROOT = Path(__file__).parents[3]
CLUSTER = ["--runner=PortableRunner", "--job_endpoint=localhost:8099", "--environment_type=PROCESS"]


@pytest.mark.parametrize(
    ("flags", "local", "local_runner"),
    [
        ([], True, True),
        (["--runner=FnApiRunner"], True, True),
        (["--runner=DirectRunner"], True, True),
        (["--runner=direct"], True, True),
        (["--runner=PrismRunner"], True, False),
        (["--runner=PrismRunner", "--environment_type=DOCKER"], False, False),
        (["--runner=PortableRunner", "--environment_type=LOOPBACK"], True, False),
        (CLUSTER, False, False),
        (["--runner=DataflowRunner"], False, False),
    ],
)
def test_flags_tell_where_photos_are_worked_on(flags: list[str], local: bool, local_runner: bool) -> None:
    assert engines.is_local(flags) is local
    assert engines.is_local_runner(flags) is local_runner


def test_workers_elsewhere_get_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = argparse.Namespace(
        sources=["photos", "gs://bucket/photos", "/photos/*.jpg"],
        output="../archive",
        roi="masks:masks",
        beam_flags=CLUSTER,
    )
    changed = engines.with_workers_paths(args)
    assert changed.sources == [str(tmp_path / "photos"), "gs://bucket/photos", "/photos/*.jpg"]
    assert changed.output == str(tmp_path.parent / "archive")
    assert changed.roi == f"masks:{tmp_path}/masks"
    assert args.sources[0] == "photos"
    args.beam_flags = []
    assert engines.with_workers_paths(args) is args


def test_only_where_others_add_flags_unknown_ones_pass(capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*CLUSTER, "--checkpointing_interval=60000"]
    assert parse_beam_flags(argparse.ArgumentParser(), flags) == flags
    with pytest.raises(SystemExit):
        parse_beam_flags(argparse.ArgumentParser(), ["--checkpointing_interval=60000"])
    assert "neither Foveate nor Beam knows" in capsys.readouterr().err


def test_no_runner_is_named_below_transforms() -> None:
    names = re.compile(r"prism|flink|dataflow|spark|fnapirunner|directrunner", re.IGNORECASE)
    named = [path.name for path in (ROOT / "transforms").rglob("*.py") if names.search(path.read_text())]
    assert not named


def test_worker_processes_on_this_machine_are_told_the_flags() -> None:
    flags = ["--s3_endpoint_url=http://here:1", "--s3_disable_ssl", "--direct_num_workers=2", "--project=p"]
    info = engines.local_runner(flags)._provision_info.provision_info
    told = sdk_worker_main._parse_pipeline_options(
        json.dumps(dict(info.pipeline_options))
    )  # as a worker reads it
    assert told.get_all_options(drop_default=True) == PipelineOptions(flags).get_all_options(
        drop_default=True
    )
    assert told.view_as(S3Options).s3_endpoint_url == "http://here:1"
