"""Tests that JSON, its schema, the page and a computation by pandas agree."""

from __future__ import annotations

import html
import json
import math
import pathlib
import re
from typing import Any

import jsonschema
import pandas as pd
import pytest

from foveate.pipelines import cli
from foveate.reports.document import json_schema, schema_text, to_json
from foveate.reports.figures import bytes_text, measure_text, money_text, share_text
from foveate.reports.page import render_page
from tests.reports.archives import compare_archives, report_on, write_made_up

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_json_is_as_its_schema_says(tmp_path: pathlib.Path) -> None:
    archive = write_made_up(tmp_path / "a", 40)
    validator = jsonschema.Draft202012Validator(json_schema())
    for found in (report_on(archive), compare_archives(archive, write_made_up(tmp_path / "b", 30, 8))):
        document = json.loads(to_json(found))
        validator.validate(document)
        del document["figures"]
        assert not validator.is_valid(document)


def test_the_documented_schema_is_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["report", "--json-schema"])
    assert end.value.code == 0
    assert (
        capsys.readouterr().out == schema_text() == (DOCS / "report.schema.json").read_text(encoding="utf-8")
    )


def test_every_key_is_explained() -> None:
    explained = (DOCS / "report.md").read_text(encoding="utf-8")
    definitions = json_schema()["$defs"]
    keys = {key for name in ("Report", "Comparison") for key in definitions[name]["properties"]}
    assert not {key for key in keys if f"`{key}`" not in explained}


def test_json_page_and_pandas_agree(tmp_path: pathlib.Path) -> None:
    found = report_on(write_made_up(tmp_path, 300))
    document = json.loads(to_json(found))
    rows = pd.read_parquet(tmp_path / "_foveate/metrics/run=r1/0.parquet")
    figures: dict[str, Any] = {
        "sources": len(rows) + 1,
        "before_bytes": rows.source_bytes.sum(),
        "after_bytes": rows.archive_bytes.sum(),
        "saved_share": 1 - rows.archive_bytes.sum() / rows.source_bytes.sum(),
        "ratio": rows.source_bytes.sum() / rows.archive_bytes.sum(),
        "cost.saved_per_year": 12 * 0.02 * (rows.source_bytes - rows.archive_bytes).sum() / 1e9,
        "psnr.mean_gain": (rows.rec_psnr_db - rows.psnr_db).mean(),
    }
    columns = {
        "ratio": "compression_ratio",
        "bpp": "bits_per_pixel",
        "psnr": "psnr_db",
        "psnr_s": "psnr_s_db",
    }
    columns |= {name: name for name in ("ssim", "ms_ssim", "rec_ms_ssim")} | {"rec_psnr": "rec_psnr_db"}
    for name, column in columns.items():
        values = rows[column]
        figures |= {
            f"{name}.mean": values.mean(),
            f"{name}.median": values.median(),
            f"{name}.min": values.min(),
        }
        figures |= {f"{name}.p05": values.quantile(0.05), f"{name}.p95": values.quantile(0.95)}
    for name, value in figures.items():
        assert math.isclose(document["figures"][name], value, rel_tol=1e-9), name
    folder = rows.relative_path.str.extract("^([^/]*)/", expand=False).fillna("")
    means = rows.groupby(folder).psnr_db.mean()
    assert {g["name"]: g["mean_psnr_db"] for g in document["folders"]} == pytest.approx(means.to_dict())
    cameras = rows.camera.fillna("").value_counts()
    assert {g["name"]: g["photos"] for g in document["cameras"]} == cameras.to_dict()
    times = pd.to_datetime(rows.source_modified, unit="s")
    months = rows.taken.str[:7].fillna(times.dt.strftime("%Y-%m")).value_counts()
    assert {g["name"]: g["photos"] for g in document["months"]} == months.to_dict()
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", render_page(found).split("<script")[0])).split())
    for said in (
        f"Saved {share_text(figures['saved_share'])}",
        f"of {bytes_text(figures['before_bytes'])}",
        f"Cost saved per year {money_text(figures['cost.saved_per_year'])}",
        f"Compression ratio {measure_text(figures['ratio'], '×')}",
        f"PSNR, decoded {measure_text(figures['psnr.median'], 'dB')}",
        f"MS-SSIM 300 {measure_text(figures['ms_ssim.mean'])} {measure_text(figures['ms_ssim.median'])} "
        f"{measure_text(figures['ms_ssim.p05'])} {measure_text(figures['ms_ssim.p95'])}",
    ):
        assert said in text, said
