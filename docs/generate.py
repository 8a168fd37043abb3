"""Writes pages that follow from the code, and figures in others: `python -m docs.generate`; a test says when.

api.md from docstrings, commands.md from the parsers, metrics.md from the row dataclasses, parts.md from
what readers know, photos.md from their table, interoperability.md from what tests expect of other programs.
"""

from __future__ import annotations

import argparse
import dataclasses
import html
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from docs import figures
from docs.api_page import api_page
from docs.interoperability import interoperability_page
from docs.parts import parts_page
from docs.photo_page import photo_page
from foveate.archive.findings import Finding, Kind
from foveate.archive.rows import MetricsRow
from foveate.archive.skipped import Skipped
from foveate.archive.tables import failures_schema, metrics_schema
from foveate.pictures.reasons import Reason
from foveate.pipelines.cli import COMMANDS, command

FOLDER = Path(__file__).parent
_NOTE = "<!-- Made by `python -m docs.generate`; change the code instead. -->\n"

MEANINGS = {
    "source_url": "where the photo was when the run read it",
    "archive_url": "where its file was written; below another root if the archive was moved since",
    "relative_path": "the photo's path below the folder that was named; with this the tables join",
    "outcome": "`compressed`; `kept`: copied unchanged; `skipped`: up to date, in its place already",
    "reason": "why it was kept or skipped; empty for compressed",
    "source_format": "what its bytes are, whatever its name says: jpeg, png, ...",
    "source_bytes": "size of the source file",
    "archive_bytes": "size of the file in the archive, encryption included",
    "source_modified": "when the source was last changed, in seconds since 1970 UTC; 0 if not known",
    "source_sha256": "SHA-256 of the source file, hexadecimal",
    "width": "of the upright photo, in pixels",
    "height": "of the upright photo, in pixels",
    "channels": "1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha",
    "bit_depth": "bits per sample of the source; 9 to 15 bits are stretched to 16",
    "compression_ratio": "source bytes / archive bytes",
    "raw_ratio": "bytes of the uncompressed samples / archive bytes",
    "bits_per_pixel": "8 · archive bytes / (width · height)",
    "mse": "mean squared error over all color samples, of samples scaled to 0 to 255",
    "psnr_db": "PSNR over all color samples; infinite where nothing was lost",
    "psnr_y_db": "PSNR of BT.601 luma",
    "ssim": "structural similarity of luma (Wang et al. 2004)",
    "ms_ssim": "multi-scale SSIM of luma (Wang et al. 2003)",
    "psnr_s_db": "PSNR with squared errors weighted by the saliency map",
    "ssim_s": "SSIM weighted by the saliency map",
    "rec_mse": "`mse` of the photo restored by RecCNN; null if it was not measured",
    "rec_psnr_db": "`psnr_db` of the photo restored by RecCNN; null if it was not measured",
    "rec_psnr_y_db": "`psnr_y_db` of the photo restored by RecCNN; null if it was not measured",
    "rec_ssim": "`ssim` of the photo restored by RecCNN; null if it was not measured",
    "rec_ms_ssim": "`ms_ssim` of the photo restored by RecCNN; null if it was not measured",
    "rec_psnr_s_db": "`psnr_s_db` of the photo restored by RecCNN; null if it was not measured",
    "rec_ssim_s": "`ssim_s` of the photo restored by RecCNN; null if it was not measured",
    "saliency_mean": "mean of the saliency map, 0 to 1",
    "salient_share": "share of the map above one half",
    "target": "the requested target: `bpp=0.5`, `psnr=40`, `lossless`, ...",
    "target_reached": "the value reached, in the target's own unit; null where it has none",
    "comcnn_used": "whether ComCNN filtered the photo before it was coded",
    "metadata_lost": "metadata that could not be read or held by JP2: `name: details; ...`; empty if none",
    "read_seconds": "to read and decode the source",
    "saliency_seconds": "to compute the saliency map",
    "encode_seconds": "to encode, choose, and decode back",
    "measure_seconds": "to measure the fidelity",
    "settings_digest": "8 bytes, hexadecimal; they differ whenever settings would produce different files",
    "weights_digest": "the same for the networks' weights; zeros without networks",
    "foveate_version": "of the program that wrote the row",
    "run_id": "of its run: the time it began (UTC), and six random digits",
    "finished": "when the photo was done",
    "source_generation": "the object's generation, in stores that number versions",
    "source_checksum": "of the source, as its store's listing gave it: `md5:...`, `crc32c:...`, `etag:...`",
    "archive_version": "of the written file: the store's checksum, or on a local disk when it was changed",
    "archive_sha256": "SHA-256 of the whole file as it is stored, hexadecimal",
    "codestream_sha256": "SHA-256 of the codestream in the JP2 file, hexadecimal",
    "camera": "maker and model, from EXIF",
    "taken": "when the photo was taken, by the camera's clock: ISO 8601 without a time zone",
    "reason_code": "the kind of reason, for programs: " + ", ".join(f"`{reason}`" for reason in Reason),
    "ssimulacra2": "SSIMULACRA 2, at most 100: 90 visually lossless, 70 high, 50 medium quality; of one "
    "photo in eight, or of all with `--measure ssimulacra2` or `--measure all`",
    "rec_ssimulacra2": "`ssimulacra2` of the photo restored by RecCNN; null if it was not measured",
    "alpha_max_error": "the largest error of the alpha channel, on a scale of 255; null without one",
    "faces": "how many faces were found; null where the networks were not asked (`--roi`)",
    "writing_share": "share of the photo that was found to be writing; likewise",
    "cleaned_psnr_db": "with `--clean-jpeg`: PSNR of the cleaned photo, which was coded, against the source",
}
_TABLES_ARE = """\
Below `_foveate/` in the archive's folder. Parquet is an open format (Apache) that DuckDB, pandas, Spark,
R and others read; JSON lines are text. In names that are not UTF-8, each invalid byte is written as
`\\udcXX`.
"""
_ROWS_ARE = """\
One row for each photo that a run compressed or kept. Photos that were up to date are only counted, unless
something about them is new: then they have a row too, with the outcome `skipped`. The newest row of a
`relative_path` that is not `skipped` describes the file that is there. Columns are only ever added; those
marked † came later and are missing from older tables. `--metrics csv` writes the same columns as CSV beside
them.
"""
_JOURNALS_ARE = """\
Rows of a run in progress, or of a killed one: one JSON object per line, with the columns above as keys. A run
that ends well removes them.
"""
_FAILURE_MEANINGS = {
    "url": "of the source",
    "step": "the step that failed: match, read, saliency, encode, measure, write, copy, ...",
    "error_type": "of the exception",
    "message": "what was wrong, in a sentence",
    "time": "ISO 8601, UTC",
    "run_id": "taken from the folder's name; not in the file",
}
_FINDING_MEANINGS = {
    "path": "below the archive's root",
    "kind": "one of those below",
    "detail": "in a sentence",
    "url": "of the file",
    "sha256": "of the file as it is; empty where it was not read",
}
_KIND_MEANINGS = {
    "missing": "a row's file does not exist",
    "untracked": "not in the metrics table",
    "stale": "left over from an earlier run: the photo is now stored under another name",
    "unreadable": "cannot be read",
    "truncated": "shorter than when it was written",
    "layer_truncated": "cut at the end of a quality layer: a complete picture of lower quality",
    "damaged": "its bytes have changed since it was written",
    "swapped": "intact, but another photo's",
    "changed": "intact, but not the file that its row describes",
    "undecodable": "a decoder refuses it",
    "wrong_format": "decoded, its size, channels or depth differ from its row",
    "quality": "measured again, it is not as close to its source as its row says",
    "no_checksum": "no fault found, but there is no checksum to compare it with",
    "locked": "no fault found, but it is encrypted and no key was given",
}
_SKIPPED_MEANINGS = {
    "run_id": "of the run",
    "foveate_version": "of the program",
    "photos": "how many were up to date",
    "source_bytes": "of these",
    "archive_bytes": "of their files",
    "finished": "ISO 8601, UTC",
}


def main() -> int:
    """Writes the pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for path, text in figures.pages().items():
        (figures.ROOT / path).write_text(text, encoding="utf-8")
    return 0


def pages() -> dict[str, str]:
    """The generated pages: file name and text."""
    return {
        "api.md": f"{_NOTE}\n{api_page()}",
        "commands.md": commands_page(),
        "metrics.md": metrics_page(),
        "interoperability.md": _NOTE + interoperability_page(),
        "parts.md": _NOTE + parts_page(),
        "photos.md": f"{_NOTE}\n{photo_page()}",
    }


def descriptions_of_nothing() -> set[str]:
    """Names described here that are not columns."""
    described = ((MEANINGS, metrics_schema().names), (_FAILURE_MEANINGS, failures_schema().names))
    return {name for meanings, names in described for name in meanings if name not in names}


# ---------------------------------------------------------------- commands


def commands_page() -> str:
    """Every command with every flag, from the parsers."""
    table = _table(
        ("command", "what it does"), [(f"[`{name}`](#{name})", text) for name, text in COMMANDS.items()]
    )
    parts = [
        _NOTE,
        "# Commands\n",
        "What `foveate COMMAND --help` says, in one place. Places (sources, outputs) are paths or URLs.\n",
        table,
        *("\n".join(_command(name)) for name in COMMANDS),
    ]
    return "\n".join(parts)


def _command(name: str) -> Iterator[str]:
    _, parser = command(name)
    formatter = parser._get_formatter()
    yield f"## {name}\n"
    for paragraph in (parser.description or "").strip().split("\n\n"):
        yield _paragraph(paragraph) + "\n"
    actions = [
        action for action in parser._actions if action.help is not argparse.SUPPRESS and action.dest != "help"
    ]
    yield f"    {_usage(name, actions)}\n"
    for group in parser._action_groups:
        rows = [
            (
                _invocation(action),
                _inline(formatter._expand_help(action) if action.help else _choices(action)),
            )
            for action in group._group_actions
            if action in actions
        ]
        if rows:
            title = (
                (group.title or "").replace("positional arguments", "arguments").replace("options", "flags")
            )
            yield f"**{title[:1].upper()}{title[1:]}**\n"
            yield _table(("flag" if group is not parser._positionals else "argument", "meaning"), rows)
    if parser.epilog:
        for line in (parser.epilog % {"prog": parser.prog}).splitlines():
            yield _inline(line) + "\n"


def _paragraph(text: str) -> str:
    """A paragraph of a docstring; lists and diagrams as they stand."""
    if "─▶" in text or all(line.startswith("  ") for line in text.splitlines()):
        return f"```text\n{text}\n```"
    return _inline(" ".join(text.split()))


def _usage(name: str, actions: list[argparse.Action]) -> str:
    needed = [action for action in actions if action.required and action.option_strings]
    given = [action for action in actions if not action.option_strings]
    words = [f"{_metavar(action)}{'...' if action.nargs == '+' else ''}" for action in given]
    words += [f"{action.option_strings[-1]} {_metavar(action)}" for action in needed]
    return " ".join(["foveate", name, *words, "[flags]"])


def _invocation(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_metavar(action)}`"
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return f"`{action.option_strings[-1]}{value}`"


def _metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices and action.option_strings:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    return action.dest.upper()


def _choices(action: argparse.Action) -> str:
    return "one of " + ", ".join(str(choice) for choice in action.choices or ())


def _inline(text: str) -> str:
    """Text of a parser as Markdown: nothing in it is markup, but flags and code are shown as code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else _marked(part) for part in parts)


def _marked(text: str) -> str:
    pieces = re.split(r"((?<![\w`-])--[a-z][a-z0-9_-]*)", text)
    for i in range(0, len(pieces), 2):
        plain = re.sub(r"([\\*_\[\]#])", r"\\\1", html.escape(pieces[i], quote=False))
        pieces[i] = plain.replace("|", "&#124;")
    return "".join(f"`{piece}`" if i % 2 else piece for i, piece in enumerate(pieces))


# ---------------------------------------------------------------- tables


def metrics_page() -> str:
    """The tables below `_foveate/`, column by column."""
    kinds = typing.get_args(Kind)
    optional = {field.name for field in dataclasses.fields(MetricsRow) if field.default is None}
    return "\n".join(
        [
            _NOTE,
            "# The tables of an archive\n",
            _TABLES_ARE,
            "## metrics/run=ID/\\*.parquet\n",
            _ROWS_ARE,
            _table(
                ("column", "meaning", "type"),
                [
                    _column(field, MEANINGS, "†" if field.name in optional else "")
                    for field in metrics_schema()
                ],
            ),
            "## metrics/run=ID/skipped.json\n",
            "One object: what of the run's photos was up to date and got no row.\n",
            _table(("key", "meaning"), _described(Skipped, _SKIPPED_MEANINGS)),
            "## metrics/run=ID/journal-\\*.jsonl\n",
            _JOURNALS_ARE,
            "## failures/run=ID/\\*.jsonl\n",
            "One JSON object per line for each photo that failed.\n",
            _table(
                ("key", "meaning", "type"),
                [_column(field, _FAILURE_MEANINGS, "") for field in failures_schema()],
            ),
            "## Findings of verify\n",
            "Of `foveate verify --output`: Parquet, in a folder `run=ID` below the one that is named.\n",
            _table(("column", "meaning"), _described(Finding, _FINDING_MEANINGS)),
            _table(("kind", "meaning"), [(f"`{kind}`", _KIND_MEANINGS[kind]) for kind in kinds]),
        ]
    )


def _column(field: pa.Field, meanings: dict[str, str], mark: str) -> tuple[str, str, str]:
    kind = f"{field.type}{' or null' if field.nullable else ''}"
    return f"`{field.name}`{mark}", meanings[field.name], kind


def _described(kind: type, meanings: dict[str, str]) -> list[tuple[str, str]]:
    return [(f"`{field.name}`", meanings[field.name]) for field in dataclasses.fields(kind)]


def _table(heads: tuple[str, ...], rows: typing.Sequence[tuple[str, ...]]) -> str:
    cells = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


if __name__ == "__main__":
    sys.exit(main())
