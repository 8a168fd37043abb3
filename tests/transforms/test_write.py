"""Tests writing into an archive: existing foreign files stay, and encrypted files cannot be read."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from foveate.archive import encryption
from foveate.archive.keys import ArchiveKey, from_store, read_stored
from foveate.archive.rows import KeptSource, MetricsRow, RunLabels
from foveate.archive.settings import Target
from foveate.archive.tables import write_metrics
from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.pictures.reasons import Reason
from foveate.storage import files
from foveate.storage.errors import BadInput
from foveate.storage.source import SourceFile
from foveate.transforms import write
from foveate.transforms.elements import Archived, DecodedPhoto
from foveate.transforms.progress import Progress
from foveate.transforms.write_pictures import Output, write_picture
from tests import streams
from tests.archive.test_tables import a_row
from tests.photos import one, source


def a_jp2(content: bytes, width: int = 9) -> bytes:
    """An archive file of a source with this content."""
    record = ArchiveRecord(hashlib.sha256(content).digest(), b"settings")
    return jp2.wrap(streams.layered(9, width, 1), metadata=PhotoMetadata(), record=record)


@pytest.fixture
def run(tmp_path: Path) -> RunLabels:
    return RunLabels(str(tmp_path / "archive"), Target("bpp", 1.0), "5e77", "3e16", "1.0", "r2")


@pytest.fixture
def photo(tmp_path: Path) -> SourceFile:
    path = tmp_path / "photos" / "trip" / "a.gif"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a photo")
    return source(path, tmp_path / "photos")


def archive_it(photo: SourceFile, run: RunLabels, data: bytes = b"") -> MetricsRow:
    url = f"{run.archive}/trip/a.gif.jp2{encryption.ENDING if run.key else ''}"
    element = Archived(photo, url, data or a_jp2(b"a photo"), a_row(archive_url=url), True)
    row: MetricsRow = one(write.write_archived, element, run, Progress())
    return row


def titled(title: bytes) -> bytes:
    """An archive file with a title in its XMP, and the record of a file whose title is "old"."""
    record = ArchiveRecord(hashlib.sha256(b"a photo").digest(), b"settings")
    old, new = (
        jp2.wrap(streams.layered(9, 9, 1), metadata=PhotoMetadata(xmp=b"<t>" + text + b"</t>"), record=record)
        for text in (b"old", title)
    )
    return new.replace(jp2.boxes_crc32(new).to_bytes(4), jp2.boxes_crc32(old).to_bytes(4))


def keep_it(photo: SourceFile, run: RunLabels) -> MetricsRow:
    kept = KeptSource(
        photo, "gif", hashlib.sha256(Path(photo.url).read_bytes()).hexdigest(), Reason.ANIMATED, "it moves"
    )
    row: MetricsRow = one(write.write_kept, kept, run, Progress())
    return row


def put(run: RunLabels, name: str, data: bytes) -> Path:
    path = Path(run.archive) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_rows_name_the_bytes_that_were_written(photo: SourceFile, run: RunLabels) -> None:
    data = a_jp2(b"a photo")
    assert archive_it(photo, run, data).archive_sha256 == hashlib.sha256(data).hexdigest()
    assert keep_it(photo, run).archive_sha256 == hashlib.sha256(b"a photo").hexdigest()


@pytest.mark.parametrize(
    "there", [b"somebody's photo", jp2.wrap(streams.layered(9, 9, 1), metadata=PhotoMetadata())]
)
def test_a_file_that_is_not_ours_is_never_replaced(photo: SourceFile, run: RunLabels, there: bytes) -> None:
    for name, store in (("trip/a.gif.jp2", archive_it), ("trip/a.gif", keep_it)):
        path = put(run, name, there)
        with pytest.raises(BadInput, match=r"another file already exists at .*, and was not replaced"):
            store(photo, run)
        assert path.read_bytes() == there
    assert not list(Path(run.archive).rglob("_foveate/unfinished/*"))


def test_an_archive_file_of_ours_is_replaced_whole_or_damaged(photo: SourceFile, run: RunLabels) -> None:
    path = put(run, "trip/a.gif.jp2", a_jp2(b"an earlier photo"))
    archive_it(photo, run)
    assert path.read_bytes() == a_jp2(b"a photo")
    path.write_bytes(b"what is left of it")
    with pytest.raises(BadInput, match="another file"):
        archive_it(photo, run)
    row = a_row("trip/a.gif", archive_url=str(path))  # an earlier run wrote it
    write_metrics([row], f"{run.archive}/_foveate/metrics/run=r1/0.parquet")
    archive_it(photo, run)
    assert path.read_bytes() == a_jp2(b"a photo")


def test_an_earlier_copy_is_replaced_only_if_it_is_bit_for_bit_what_its_row_says(
    photo: SourceFile, run: RunLabels
) -> None:
    path = put(run, "trip/a.gif", b"an earlier photo")
    for sha256, replaced in (("ab" * 32, False), (hashlib.sha256(b"an earlier photo").hexdigest(), True)):
        row = a_row("trip/a.gif", archive_url=str(path), outcome="kept", source_sha256=sha256)
        write_metrics([row], f"{run.archive}/_foveate/metrics/run=r1/0.parquet")
        if replaced:
            keep_it(photo, run)
        else:
            with pytest.raises(BadInput, match="another file"):
                keep_it(photo, run)
    assert path.read_bytes() == b"a photo"


def test_a_file_is_its_own_copy_where_archive_and_sources_are_one_folder(
    photo: SourceFile, run: RunLabels
) -> None:
    here = dataclasses.replace(run, archive=str(Path(photo.url).parents[1]))
    before = Path(photo.url).stat()
    keep_it(photo, here)
    after = Path(photo.url).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_an_edited_file_is_replaced_only_on_demand(photo: SourceFile, run: RunLabels) -> None:
    path = put(run, "trip/a.gif.jp2", titled(b"Dawn"))
    with pytest.raises(BadInput, match=r"edited .* not overwritten: move it away, or add --replace-edited"):
        archive_it(photo, run)
    assert path.read_bytes() == titled(b"Dawn")
    element = Archived(photo, str(path), a_jp2(b"a photo"), a_row(archive_url=str(path)), True)
    one(write.write_archived, element, run, Progress(), replace_edited=True)
    assert path.read_bytes() == a_jp2(b"a photo")


def test_a_file_in_whose_tags_a_bit_has_flipped_is_replaced(photo: SourceFile, run: RunLabels) -> None:
    path = put(run, "trip/a.gif.jp2", titled(b"ole"))
    archive_it(photo, run)
    assert path.read_bytes() == a_jp2(b"a photo")


@pytest.mark.parametrize("link", ["hard", "symbolic"])
def test_a_link_to_a_source_never_leads_to_its_loss(photo: SourceFile, run: RunLabels, link: str) -> None:
    path = Path(run.archive) / "trip" / "a.gif.jp2"
    path.parent.mkdir(parents=True)
    Path(photo.url).write_bytes(a_jp2(b"somebody's"))  # a source that is a file of ours
    (path.hardlink_to if link == "hard" else path.symlink_to)(photo.url)
    archive_it(photo, run)
    assert path.read_bytes() == a_jp2(b"a photo")
    assert Path(photo.url).read_bytes() == a_jp2(b"somebody's")


def test_names_are_brought_to_the_disk_with_their_files(
    photo: SourceFile, run: RunLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("what a descriptor stands for cannot be asked here")
    monkeypatch.setattr(os, "fsync", noted)
    files.write_whole(f"{run.archive}/trip/a.jp2", b"a file", run.archive)
    assert synced[0].startswith(f"{run.archive}/_foveate/unfinished/")
    assert set(synced[1:]) == {f"{run.archive}/trip", run.archive, str(Path(run.archive).parent)}


# Encrypted


@pytest.fixture
def encrypted(run: RunLabels, tmp_path: Path) -> RunLabels:
    (tmp_path / "key").write_text(bytes(range(32)).hex() + "\n")
    return dataclasses.replace(run, key=ArchiveKey.read(str(tmp_path / "key")))


def test_nothing_of_an_encrypted_file_can_be_read_without_its_key(
    photo: SourceFile, encrypted: RunLabels
) -> None:
    row = archive_it(photo, encrypted)
    stored = Path(row.archive_url).read_bytes()
    assert row.archive_url.endswith("trip/a.gif.jp2.enc")
    assert row.archive_sha256 == hashlib.sha256(stored).hexdigest()
    assert b"jP  " not in stored and read_stored(row.archive_url, encrypted.key) == a_jp2(b"a photo")
    with pytest.raises(BadInput, match="give its key with --encrypt-key FILE"):
        read_stored(row.archive_url, None)
    assert read_stored(keep_it(photo, encrypted).archive_url, encrypted.key) == b"a photo"


def test_the_same_file_is_not_encrypted_twice_and_another_is(photo: SourceFile, encrypted: RunLabels) -> None:
    first = archive_it(photo, encrypted)
    assert archive_it(photo, encrypted).archive_sha256 == first.archive_sha256
    assert archive_it(photo, encrypted, a_jp2(b"a photo", 11)).archive_sha256 != first.archive_sha256


def test_a_file_under_another_name_is_found_out(photo: SourceFile, encrypted: RunLabels) -> None:
    url = archive_it(photo, encrypted).archive_url
    stored = Path(url).read_bytes()
    assert from_store(stored, "gs://elsewhere/moved/trip/a.gif.jp2.enc", encrypted.key)
    with pytest.raises(BadInput, match=r"in the wrong place: it was encrypted as trip/a\.gif\.jp2"):
        from_store(stored, url.replace("a.gif", "b.gif"), encrypted.key)
    with pytest.raises(BadInput, match="not an encrypted file, although its name ends in"):
        from_store(b"plain", url, encrypted.key)


def test_a_key_that_was_replaced_during_a_run_is_not_used(
    photo: SourceFile, encrypted: RunLabels, tmp_path: Path
) -> None:
    (tmp_path / "other").write_bytes(bytes(32))
    assert encrypted.key is not None
    swapped = dataclasses.replace(encrypted.key, url=str(tmp_path / "other"))
    with pytest.raises(BadInput, match="has changed since the run began"):
        archive_it(photo, dataclasses.replace(encrypted, key=swapped))


def test_the_plain_file_of_an_earlier_run_goes_when_the_encrypted_one_is_there(
    photo: SourceFile, encrypted: RunLabels
) -> None:
    plain = put(encrypted, "trip/a.gif.jp2", a_jp2(b"a photo"))
    archive_it(photo, encrypted)
    assert not plain.exists()


# Restoring


def restored(folder: Path, original: bytes, overwrite: bool) -> None:
    pixels = np.full((4, 5, 3), 7, np.uint8)
    file = DecodedPhoto(
        SourceFile("/x", "x", 1, 0.0), "a.png", pixels, PhotoMetadata(), None, False, "",
        hashlib.sha256(original).digest()[:16],
    )  # fmt: skip
    one(write_picture, file, Output(str(folder), overwrite, Progress()), "png")


def test_restoring_overwrites_only_what_it_is_told_to_and_never_the_original(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"the original")
    for overwrite in (False, True):
        with pytest.raises(BadInput, match="another file"):
            restored(tmp_path, b"the original", overwrite)
    assert path.read_bytes() == b"the original"
    with pytest.raises(BadInput, match="another file"):
        restored(tmp_path, b"another original", overwrite=False)
    restored(tmp_path, b"another original", overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")
    restored(tmp_path, b"another original", overwrite=False)  # the very same bytes: nothing is lost
