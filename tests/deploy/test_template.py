"""Tests the Dataflow template against the command that it starts, and against Google's types."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from foveate.pipelines import compress

if importlib.util.find_spec("tensorflow_io"):  # that environment's older Beam comes without Google's types
    pytest.skip("the template is tested where its pinned packages are", allow_module_level=True)
from google.cloud import dataflow_v1beta3 as dataflow

DEPLOY = Path(__file__).parents[2] / "deploy"
TEMPLATE = json.loads((DEPLOY / "template.json").read_text())
PARAMETERS = {parameter["name"]: parameter for parameter in TEMPLATE["parameters"]}
NOT_FOR_JOBS = {"dry_run"}
VALUES = (
    *("0", "0.0", "00", ".5", "0.05", "1", "1.", "1.5", "-1", "9", "12", "39.5", "40", "40.0", "40.1", "41"),
    *("50", "51", "99", "100", "101", "250000000", "1e3", "inf", "nan", "abc", "", " 1", "1 "),
    *(
        *("sample", "ssimulacra2"),
        "msroi",
        "none",
        "masks:",
        "masks:gs://bucket/masks",
        "psnr",
        "visual",
        "auto",
        "on",
        "off",
        "fast",
        "best",
        "new",
        "resume",
        "128",
        "1024",
        "1000",
    ),
    *("faces=2", "objects=0,faces=10,writing=0.5", "cats=1", "faces=11", "faces"),
    *("float32", "bfloat16", "heic", "jxl,cmyk", "gain-maps", "gain-maps,gain-maps", "heic,jpeg"),
    *("leave", "copy"),
    *("best", "keep", "first", "all", "1,2,3,4", "10%,20%,300,4.5%", "1,2,3", "1,2,0,4", "0,0,0%,5"),
    *("csv", "csv,csv", "bigquery://project/photos.metrics", "bigquery://project/metrics", "60", "86400"),
    *("projects/project/subscriptions/photos", "projects/a.b:c-project/subscriptions/p-1"),
    *("projects/project/topics/photos", "projects/project/subscriptions/"),
    *("0,0,100%,100%", "0,0,0.5%,1", "1..2,2,3,4", ".,1,1,1", "1,2,3,4;5,6,7,8", "200%,1,5,5", "100%,0,1,1"),
)
# What no readable pattern can tell: the launcher's log says what is wrong with these.
LEFT_TO_THE_COMMAND = {
    "roi_box": {"1,2,0,4", "0,0,0%,5", "200%,1,5,5", "100%,0,1,1"},
}
# What the command takes and no form needs to.
UNUSUAL = {" 1", "1 ", "1e3", "1.", "00", "0.0", "0", ".5", "40.0", "86400"}


@pytest.fixture(scope="module")
def template() -> Any:
    spec = importlib.util.spec_from_file_location("template", DEPLOY / "template.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Refused(Exception):  # noqa: N818
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise _Refused(message)


def _takes(arguments: list[str]) -> bool:
    parser = _Parser(add_help=False, allow_abbrev=False)
    compress.add_arguments(parser)
    try:
        _, unknown = parser.parse_known_args(arguments)
    except _Refused:
        return False
    return not unknown


def _fits(name: str, value: str) -> bool:
    return all(re.search(pattern, value) for pattern in PARAMETERS[name]["regexes"])


def test_the_metadata_is_what_google_takes() -> None:
    metadata = dataflow.TemplateMetadata.from_json(json.dumps(TEMPLATE))  # raises at what it does not know
    assert [parameter.name for parameter in metadata.parameters] == list(PARAMETERS)
    assert all(parameter.label and parameter.help_text for parameter in metadata.parameters)
    assert all(parameter.regexes for parameter in metadata.parameters)


def test_the_template_has_a_parameter_for_everything_that_the_command_takes(template: Any) -> None:
    assert set(PARAMETERS) == set(template.actions()) - NOT_FOR_JOBS, "bring deploy/template.json up to date"


def test_a_parameter_is_optional_has_choices_and_a_default_as_in_the_command(template: Any) -> None:
    for name, action in template.actions().items():
        if name in NOT_FOR_JOBS:
            continue
        parameter = PARAMETERS[name]
        assert parameter.get("isOptional", False) == (not action.required), name
        choices = [option["value"] for option in parameter.get("enumOptions", [])]
        assert choices == list(action.choices or []), name
        assert (parameter["paramType"] == "BOOLEAN") == (action.nargs == 0), name
        if "defaultValue" in parameter:
            value = action.type(parameter["defaultValue"]) if action.type else parameter["defaultValue"]
            assert value == (str(action.default).lower() if action.nargs == 0 else action.default), name


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"sources", "output"}))
def test_what_a_parameters_pattern_lets_pass_the_command_takes(template: Any, name: str) -> None:
    fitting = [value for value in (*VALUES, "true", "false") if _fits(name, value)]
    assert len(fitting) > 1
    for value in set(fitting) - LEFT_TO_THE_COMMAND.get(name, set()):
        arguments = template.arguments_of(["--sources=gs://a/b", "--output=gs://a/c", f"--{name}={value}"])
        assert _takes(arguments), f"{name}={value}"
    assert not _fits(name, "")


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"sources", "output"}))
def test_what_the_command_takes_a_parameters_pattern_lets_pass(template: Any, name: str) -> None:
    if template.actions()[name].nargs == 0:
        return  # true and false are the template's own words
    for value in set(VALUES) - UNUSUAL - {""}:
        arguments = template.arguments_of(["--sources=gs://a/b", "--output=gs://a/c", f"--{name}={value}"])
        if _takes(arguments):
            assert _fits(name, value), f"{name}={value}"


def test_sources_and_the_archive_are_urls() -> None:
    assert _fits("sources", "gs://bucket/a b/*.jpg, s3://other")
    assert not _fits("sources", "/home/photos")
    assert not _fits("sources", "gs://bucket/a,/home")
    assert _fits("output", "gs://bucket/archive")
    assert not _fits("output", "archive")


def test_a_launchers_parameters_become_the_commands_arguments(template: Any) -> None:
    arguments = template.arguments_of([
        "--runner=DataflowRunner", "--sources=gs://a/b, gs://a/c*.jpg", "--output=gs://a/d",
        "--jpeg_quality=5", "--force=true", "--lossless=false", "--ratio=", "--roi_box=1,2,3,4; 10%,20%,5,6",
        '--labels={"a":"b=c"}',
    ])  # fmt: skip
    assert arguments == [
        "gs://a/b", "gs://a/c*.jpg", "--runner=DataflowRunner", "--output=gs://a/d", "--jpeg-quality=5",
        "--force", "--roi-box=1,2,3,4", "--roi-box=10%,20%,5,6", '--labels={"a":"b=c"}',
    ]  # fmt: skip


@pytest.mark.parametrize("parameter", ["--force=yes", "--sources=--dry-run", "--sources=gs://a/b,--force"])
def test_a_parameter_that_makes_no_sense_is_wrong_usage(
    template: Any, parameter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert template.main([parameter, "--output=gs://a/b"]) == 2
    assert capsys.readouterr().err.startswith("foveate: ")


def test_the_launcher_gets_the_description_of_a_job(
    template: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from apache_beam.internal.gcp import auth
    from apache_beam.io.gcp import gcsio
    from apache_beam.runners.dataflow.internal import apiclient

    staged: dict[str, Any] = {}

    def stage(self: Any, location: str, name: str, stream: Any, *rest: Any, **more: Any) -> None:
        content = stream if isinstance(stream, str) else stream.read()
        staged[f"{location}/{name}"] = Path(content).read_bytes() if isinstance(stream, str) else content

    monkeypatch.setattr(apiclient.DataflowApplicationClient, "stage_file_with_retry", stage)
    # No credentials, and nobody is asked: neither for any, nor what the buckets are like.
    monkeypatch.setattr(auth._Credentials, "_credentials_init", True)
    monkeypatch.setattr(auth._Credentials, "_credentials", None)
    monkeypatch.setattr(gcsio.GcsIO, "is_soft_delete_enabled", lambda self, path: False)
    status = template.main([
        "--sources=gs://bucket/photos", "--output=gs://bucket/archive", "--roi=none", "--reccnn=off",
        "--runner=DataflowRunner", "--project=project", "--region=europe-west1", "--job_name=nightly",
        "--no_auth", "--temp_location=gs://bucket/temp", "--staging_location=gs://bucket/staging",
        "--template_location=gs://bucket/templates/job_object", "--sdk_container_image=registry/dataflow:1",
        "--a_flag_that_only_launchers_know=1",
    ])  # fmt: skip
    said = capsys.readouterr().err
    assert status == 0, said
    assert "nothing to do" not in said
    job = json.loads(staged["gs://bucket/templates/job_object"])
    options = job["environment"]["sdkPipelineOptions"]["options"]
    assert (options["project"], options["job_name"]) == ("project", "nightly")
    images = [pool["sdkHarnessContainerImages"][0] for pool in job["environment"]["workerPools"]]
    assert images[0]["containerImage"] == "registry/dataflow:1"
    (graph,) = (content for name, content in staged.items() if "pipeline" in name.rpartition("/")[2])
    assert b"Encode JPEG 2000" in graph


def test_the_nightly_request_is_what_google_and_the_template_take() -> None:
    text = (DEPLOY / "launch.json").read_text()
    request = dataflow.LaunchFlexTemplateRequest.from_json(text)
    assert request.launch_parameter.container_spec_gcs_path.endswith("template.json")
    given = dict(request.launch_parameter.parameters)
    assert given
    for name, value in given.items():
        assert _fits(name, value), name
    assert all(name in given for name, parameter in PARAMETERS.items() if not parameter.get("isOptional"))
