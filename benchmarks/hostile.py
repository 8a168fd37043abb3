"""Checks that hostile files become good archive files or clear failure rows, without harming others.

    python -m benchmarks.hostile [--flips 10000] [--seed 1] [--save FOLDER]

Hands bombs, metadata bombs, files cut at every power of two and files with flipped bits, of every format that
is read, to the isolated decoder. Then compresses a folder of all of them (except most of the flipped ones),
with clashing names and places, by the command line, and restores the result together with hostile archives.
Prints outcomes; the exit status is 1 if one of them is a bug (an untyped error), a run does not end as it
should, a file has no outcome or several, or an archive file cannot be decoded.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import bombs, hostile_files
from foveate.archive.names import JPEG2000_EXTENSIONS
from foveate.archive.tables import read_failures, read_metrics, table_text
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pictures.picture import BadPicture, NotForJpeg2000
from foveate.sandbox import client
from foveate.sandbox.children import DecoderFailed
from foveate.sandbox.client import Limits
from foveate.storage.listing import find_files

LIMITS = Limits(pixels=50_000_000, seconds=20.0, memory_gb=2.0)
_PATIENT = dataclasses.replace(LIMITS, seconds=600.0)  # for what a run has made itself
FLIPPED_IN_RUN = 20  # of each format
_FOVEATE = (sys.executable, "-m", "foveate")
_THREADS = 2
_SHOWN = 12
_SOME_FAILED = 3


@dataclasses.dataclass
class Findings:
    """Outcomes by kind of input, the slowest inputs, and bugs."""

    outcomes: dict[str, collections.Counter[str]] = dataclasses.field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    crashes: list[str] = dataclasses.field(default_factory=list)
    bugs: list[str] = dataclasses.field(default_factory=list)

    def add(self, kind: str, name: str, outcome: str, seconds: float) -> None:
        """Counts one input."""
        self.outcomes.setdefault(kind, collections.Counter())[outcome.partition(":")[0]] += 1
        self.slowest = max(self.slowest, (seconds, name))
        if outcome.startswith("crashed"):
            self.crashes.append(f"{name}: {outcome}")
        if outcome.startswith("bug"):
            self.bugs.append(f"{name}: {outcome}")


def outcome_of(ending: str, data: bytes, limits: Limits = LIMITS) -> str:
    """Outcome of the isolated decoder for a file: one word and, after a colon, its reason."""
    try:
        if f".{ending}" in JPEG2000_EXTENSIONS:
            client.decode_archive(data, limits)
        else:
            client.decode_picture(data, limits)
    except NotForJpeg2000 as reason:
        return f"kept: {reason}"
    except (BadPicture, BadCodestream, UnsupportedCodestream) as error:
        return f"refused: {error}"
    except DecoderFailed as error:
        for word, mark in (("too slow", "took longer"), ("too large", "needs more than")):
            if mark in str(error):
                return f"{word}: {error}"
        return f"crashed: {error}"
    except Exception as error:  # any other exception is a bug, and the run must go on
        return f"bug: {type(error).__name__}: {error}"
    return "decoded"


def inputs(flips: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and bytes of everything that is handed to the decoder."""
    for name, data in bombs.bombs().items():
        yield "bombs", name, data
    for name, data in bombs.metadata_bombs().items():
        yield "metadata", name, data
    for ending, sound in hostile_files.sound_files().items():
        for name, data in hostile_files.cuts(sound).items():
            yield "cuts", f"{name}.{ending}", data
        for index in range(flips):
            yield f"flips {ending}", f"flip-{index}.{ending}", hostile_files.flipped(sound, seed, index)


def decode_all(flips: int, seed: int, save: Path | None = None) -> Findings:
    """Hands all inputs to the isolated decoder; saves those that crash it or reveal a bug."""
    findings = Findings()

    def work(item: tuple[str, str, bytes]) -> tuple[tuple[str, str, bytes], str, float]:
        begun = time.perf_counter()
        outcome = outcome_of(item[1].rpartition(".")[2], item[2])
        return item, outcome, time.perf_counter() - begun

    with ThreadPoolExecutor(_THREADS) as pool:
        for (kind, name, data), outcome, seconds in pool.map(work, inputs(flips, seed)):
            findings.add(kind, name, outcome, seconds)
            if save is not None and outcome.startswith(("crashed", "bug")):
                save.mkdir(parents=True, exist_ok=True)
                (save / name).write_bytes(data)
    return findings


# The command line -----------------------------------------------------------------------------------


def lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files that `compress` and `restore` are to find: two folders, with clashes between them."""
    first, second = folder / "first", folder / "second"
    first.mkdir(parents=True)
    second.mkdir()
    photo = hostile_files.noisy_png()
    hostile_files.write_hostile_names(first, photo)
    (second / "photo.png").write_bytes(photo)
    (first / "loop").symlink_to(first, target_is_directory=True)
    (first / "nowhere.png").symlink_to(first / "is-not-there")
    for name, data in files.items():
        (first / name).write_bytes(data)


def hostile_sources(seed: int, bomb_side: int = 6000, inflated: int = 1 << 28) -> dict[str, bytes]:
    """Files of every format that is read, by name."""
    files = {f"bomb-{n}": d for n, d in bombs.bombs(bomb_side, inflated).items() if not _is_archive(n)}
    files |= {f"metadata-{n}": d for n, d in bombs.metadata_bombs(inflated).items()}
    return files | _damaged(seed, archives=False)


def hostile_archives(seed: int, bomb_side: int = 6000) -> dict[str, bytes]:
    """JPEG 2000 files and codestreams, by name."""
    files = {f"bomb-{n}": d for n, d in bombs.bombs(bomb_side).items() if _is_archive(n)}
    return files | _damaged(seed, archives=True)


def _damaged(seed: int, archives: bool) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for ending, sound in hostile_files.sound_files().items():
        if _is_archive(f"file.{ending}") == archives:
            files |= {f"{name}.{ending}": data for name, data in hostile_files.cuts(sound).items()}
            for index in range(FLIPPED_IN_RUN):
                files[f"flip-{index}.{ending}"] = hostile_files.flipped(sound, seed, index)
    return files


def _is_archive(name: str) -> bool:
    return Path(name).suffix in JPEG2000_EXTENSIONS


def compress_all(folder: Path) -> list[str]:
    """Compresses what is laid out into `folder`/archive; sentences on what is wrong with the outcome."""
    archive = folder / "archive"
    sources = [folder / "first", folder / "second"]
    # The name that only an archive has is named itself.
    named = [*map(str, sources), str(folder / "first" / "photo.png.jp2")]
    listed = [f for s in named for f in find_files(s, PICTURE_EXTENSIONS, str(archive))]
    status = _run("compress", *named, "--output", str(archive), "--roi=none", "--comcnn=off", "--reccnn=off")
    rows, failures = read_metrics(str(archive)).to_pylist(), read_failures(str(archive)).to_pylist()
    problems = [] if status == _SOME_FAILED else [f"compress ended with status {status}"]
    accounted = collections.Counter([row["source_url"] for row in rows] + [row["url"] for row in failures])
    problems += _account(collections.Counter(table_text(file.url) for file in listed), accounted)
    outcomes = collections.Counter(row["outcome"] for row in rows)
    print(f"compress: {len(listed)} sources = {dict(outcomes)} + {len(failures)} failed")
    internal = [row for row in failures if "internal" in row["step"]]
    problems += [f"{row['url']}: {row['error_type']}: {row['message'][:200]}" for row in internal]
    return problems + _check_archive(rows, archive)


def _check_archive(rows: Sequence[Mapping[str, object]], archive: Path) -> list[str]:
    """Lists bad archive files: those that do not decode, or are not their sources' copies."""
    problems = []
    expected = collections.Counter(str(row["source_sha256"]) for row in rows if row["outcome"] == "kept")
    for path in sorted(archive.rglob("*")):
        if not path.is_file() or "_foveate" in path.parts:
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if expected[digest]:
            expected[digest] -= 1
        elif (outcome := outcome_of(path.suffix[1:], data, _PATIENT)) != "decoded":
            problems.append(f"{path.name!r} in the archive: {outcome}")
    return problems + [f"no copy of what has the hash {digest}" for digest in +expected]


def restore_all(folder: Path, archives: Mapping[str, bytes]) -> list[str]:
    """Restores the archive with hostile files put into it; sentences on what is wrong with the outcome."""
    archive, output = folder / "archive", folder / "restored"
    for name, data in archives.items():
        (archive / name).write_bytes(data)
    listed = list(find_files(str(archive), JPEG2000_EXTENSIONS | PICTURE_EXTENSIONS, str(output)))
    status = _run("restore", str(archive), "--output", str(output), "--reccnn=off")
    failures = read_failures(str(output)).to_pylist()
    written = [p for p in output.rglob("*") if p.is_file() and "_foveate" not in p.parts]
    print(f"restore: {len(listed)} files = {len(written)} restored + {len(failures)} failed")
    problems = [] if status == _SOME_FAILED else [f"restore ended with status {status}"]
    if len(written) + len(failures) != len(listed):
        problems.append(f"{len(listed)} files became {len(written)} and {len(failures)} failures")
    internal = [row for row in failures if "internal" in row["step"]]
    return problems + [f"{row['url']}: {row['error_type']}: {row['message'][:200]}" for row in internal]


def _account(listed: collections.Counter[str], accounted: collections.Counter[str]) -> list[str]:
    kinds = (("sources without an outcome", listed - accounted), ("outcomes too many", accounted - listed))
    return [f"{len(urls)} {what}: {sorted(urls)[:3]}" for what, urls in kinds if urls]


def _run(*arguments: str) -> int:
    limits = (
        f"--max-pixels={LIMITS.pixels}",
        f"--photo-seconds={LIMITS.seconds}",
        f"--photo-memory={LIMITS.memory_gb}",
    )
    done = subprocess.run([*_FOVEATE, *arguments, *limits], capture_output=True, text=True)
    if done.returncode != _SOME_FAILED:
        print(done.stderr[-3000:])
    return done.returncode


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--flips", type=int, default=10_000, help="files with flipped bits of each format")
    parser.add_argument("--seed", type=int, default=1, help="of the flips")
    parser.add_argument("--save", type=Path, default=Path("hostile"), help="where files go that crash")
    options = parser.parse_args(argv)
    begun = time.perf_counter()
    findings = decode_all(options.flips, options.seed, options.save)
    for kind, outcomes in findings.outcomes.items():
        print(f"{kind:12}" + "  ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
    total = sum(outcomes.total() for outcomes in findings.outcomes.values())
    print(f"{total} inputs in {time.perf_counter() - begun:.0f} s; slowest: {findings.slowest}")
    for line in findings.crashes[:_SHOWN] + findings.bugs[:_SHOWN]:
        print(line[:400])
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder), hostile_sources(options.seed))
        problems = compress_all(Path(folder)) + restore_all(Path(folder), hostile_archives(options.seed))
    for problem in problems:
        print(problem)
    print(f"{len(findings.crashes)} crashes, contained; {len(findings.bugs) + len(problems)} problems")
    return 1 if findings.bugs or problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
