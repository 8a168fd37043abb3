"""Tests finding, reading and writing files: with every valid name, whole or not at all."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import errno
import os
import socket
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from foveate.storage import files, local_disk
from foveate.storage.errors import BadInput
from foveate.storage.files import write_whole
from foveate.storage.listing import NothingFound, Part, find_files, find_part, list_folder
from foveate.storage.local_disk import clear_unfinished, temporary_folder
from foveate.storage.object_store import read_up_to
from foveate.storage.source import SourceFile

PHOTOS = frozenset({".jpg", ".png"})


def place(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))


def found(source: Path | str, output: Path | str = "/nowhere") -> list[str]:
    return [file.relative_path for file in find_files(str(source), PHOTOS, str(output))]


def test_a_folder_is_searched_below_and_other_files_left_out(tmp_path: Path) -> None:
    place(tmp_path, "b.jpg", "a/d.PNG", "a/b/c.jpg", "notes.txt", "no-extension")
    assert sorted(found(tmp_path)) == ["a/b/c.jpg", "a/d.PNG", "b.jpg"]


def test_the_current_folder_is_a_folder_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, "a.jpg", "b/c.jpg")
    monkeypatch.chdir(tmp_path)
    for source in (".", "./", "*.jpg", "a.jpg"):
        assert "a.jpg" in found(source)
    assert found("b") == ["c.jpg"] and sorted(found(".")) == ["a.jpg", "b/c.jpg"]
    assert ("a.jpg", 5) in [(file.path, file.size_bytes) for file in list_folder(".")]


def test_a_file_carries_its_url_size_and_time(tmp_path: Path) -> None:
    place(tmp_path, "trip/a.jpg")
    os.utime(tmp_path / "trip/a.jpg", (5, 1234.5))
    (file,) = find_files(str(tmp_path), PHOTOS, "/nowhere")
    assert (file.url, file.relative_path) == (str(tmp_path / "trip/a.jpg"), "trip/a.jpg")
    assert (file.size_bytes, file.modified) == (10, 1234.5)


def test_a_file_named_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    place(tmp_path, "photo.unknown")
    assert found(tmp_path / "photo.unknown") == ["photo.unknown"]


def test_a_glob_keeps_the_paths_from_its_first_wildcard_on(tmp_path: Path) -> None:
    place(tmp_path, "x/2019/a.jpg", "x/2019/b.txt", "x/2020/a.jpg", "y/2019/c.jpg")
    assert found(f"{tmp_path}/x/*/a.jpg") == ["2019/a.jpg", "2020/a.jpg"]
    assert found(f"{tmp_path}/x/2019/*") == ["a.jpg"]
    assert found(f"{tmp_path}/**/a.jpg") == ["x/2019/a.jpg", "x/2020/a.jpg"]


@pytest.mark.parametrize(
    "name", ["Photos [2019]/a*b?.jpg", "with space/ü ñ.png", "a%20b#c&d.jpg", "{x}.jpg", "-.jpg"]
)
def test_names_with_special_characters_are_taken_literally(tmp_path: Path, name: str) -> None:
    place(tmp_path, name)
    assert found(tmp_path) == [name]
    assert found(tmp_path / name) == [Path(name).name]
    (file,) = find_files(str(tmp_path), PHOTOS, "/nowhere")
    assert files.read_whole(file.url) == name.encode()


def test_a_folder_with_brackets_is_a_folder(tmp_path: Path) -> None:
    place(tmp_path / "Photos [2019]", "a.jpg")
    assert found(tmp_path / "Photos [2019]") == ["a.jpg"]


def test_a_name_that_is_no_utf_8_is_found_and_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"latin")
    (file,) = find_files(str(tmp_path), PHOTOS, "/nowhere")
    assert file.relative_path == name
    assert files.read_whole(file.url) == b"latin"


def test_foveates_own_folder_is_left_out(tmp_path: Path) -> None:
    place(tmp_path, "a.jpg", "_foveate/b.jpg", "c/_foveate/d.jpg")
    assert found(tmp_path) == ["a.jpg"]
    assert found(f"{tmp_path}/**/*.jpg") == ["a.jpg"]


def test_results_below_a_source_are_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, "a.jpg", "archive/kept.png", "archive 2/b.jpg")
    expected = ["a.jpg", "archive 2/b.jpg"]
    assert sorted(found(tmp_path, tmp_path / "archive")) == expected
    assert sorted(found(f"{tmp_path}/**/*.*", f"{tmp_path}/archive/")) == expected
    monkeypatch.chdir(tmp_path)
    assert sorted(found(".", "archive")) == expected
    assert sorted(found(tmp_path, "./archive")) == expected


def test_results_next_to_their_sources_leave_these_untouched(tmp_path: Path) -> None:
    place(tmp_path, "a.jpg", "archive/kept.png")
    assert sorted(found(tmp_path, tmp_path)) == ["a.jpg", "archive/kept.png"]
    assert found(tmp_path / "archive", tmp_path) == ["kept.png"]
    assert found(tmp_path / "archive" / "kept.png", tmp_path / "archive") == ["kept.png"]


def test_a_dangling_link_is_passed_over(tmp_path: Path) -> None:
    place(tmp_path, "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert found(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("source", ["nowhere", "nowhere/*.jpg", "empty", "texts"])
def test_a_source_that_names_no_photo_is_an_error_that_names_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    place(tmp_path, "texts/a.txt")
    with pytest.raises(NothingFound, match=source.replace("*", r"\*")):
        found(tmp_path / source)


def test_a_listing_has_every_file_by_its_path_but_foveates_own(tmp_path: Path) -> None:
    place(tmp_path, "a.jpg.jp2", "c/movie.mp4", "_foveate/metrics/x.parquet")
    listed = sorted((file.path, file.size_bytes) for file in list_folder(str(tmp_path)))
    assert listed == [("a.jpg.jp2", 9), ("c/movie.mp4", 11)]
    assert not list(list_folder(str(tmp_path / "nowhere")))


def test_a_file_that_ends_in_gz_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"no gzip at all")
    assert files.read_whole(str(tmp_path / "a.gz")) == b"no gzip at all"
    assert files.read_if_there(str(tmp_path / "b.gz")) is None


def test_a_file_is_written_whole_over_an_older_one_and_nothing_else_stays(tmp_path: Path) -> None:
    place(tmp_path, "trip/a.jp2")
    for data in (b"one" * 1000, b"two"):
        write_whole(str(tmp_path / "trip/a.jp2"), data, str(tmp_path))
        assert (tmp_path / "trip/a.jp2").read_bytes() == data
    clear_unfinished(str(tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["trip", "a.jp2"]


def test_a_write_that_fails_leaves_the_older_file_and_no_part(tmp_path: Path) -> None:
    place(tmp_path, "a.jp2")
    with pytest.raises(TypeError):
        write_whole(str(tmp_path / "a.jp2"), "no bytes", str(tmp_path))  # type: ignore[arg-type]
    assert (tmp_path / "a.jp2").read_bytes() == b"a.jp2"
    assert not list(temporary_folder(str(tmp_path)).iterdir())


def test_a_folder_that_vanishes_while_a_file_for_it_is_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def sync(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        (tmp_path / "leases").rmdir()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_whole(str(tmp_path / "leases/a.json"), b"{}", str(tmp_path))
    assert (tmp_path / "leases/a.json").read_bytes() == b"{}"


@pytest.mark.parametrize("links", [True, False])
def test_of_several_that_write_one_new_file_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:  # as FAT answers
        monkeypatch.setattr(os, "link", lambda *names: _refuse())
    url = str(tmp_path / "log" / "1.json")
    names = [str(number) * 100_000 for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as writers:
        wrote = list(writers.map(lambda name: files.write_new(url, name.encode(), str(tmp_path)), names))
    assert sum(wrote) == 1
    assert Path(url).read_text() == names[wrote.index(True)]
    assert not list(temporary_folder(str(tmp_path)).iterdir())


def _refuse() -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_what_a_killed_run_left_is_cleared_and_tables_stay(tmp_path: Path) -> None:
    place(tmp_path, "_foveate/unfinished/1-abc", "_foveate/metrics/run=1/0.parquet")
    clear_unfinished(str(tmp_path))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["0.parquet"]
    clear_unfinished(str(tmp_path / "nowhere"))


def test_no_more_is_read_than_may_be_whatever_a_listing_says(tmp_path: Path) -> None:
    place(tmp_path, "12345678.jpg")
    url = str(tmp_path / "12345678.jpg")
    source = SourceFile(url, "a.jpg", 1, 0.0)
    for most in (12, 13, 1 << 40):
        assert files.read_whole(url, most) == files.read_source(source, most) == b"12345678.jpg"
    for read in (files.read_whole, files.read_if_there):
        with pytest.raises(BadInput, match=r"^the file is larger than the limit of 11 bytes$"):
            read(url, 11)
    with pytest.raises(BadInput, match="limit of 11 bytes"):
        files.read_source(source, 11)


def test_no_more_memory_is_taken_than_a_file_has_bytes(tmp_path: Path) -> None:
    place(tmp_path, "a.jpg")
    tracemalloc.start()
    files.read_whole(str(tmp_path / "a.jpg"), 1 << 31)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_grows_while_it_is_read_is_read_to_its_end() -> None:
    parts = [b"abc", b"de", b"f"]

    class Growing:
        def read(self, count: int) -> bytes:
            return parts.pop(0)[:count] if parts else b""

    assert read_up_to(Growing(), 100, at_once=3) == b"abcdef"


@pytest.mark.parametrize("what", ["pipe", "device", "socket"])
def test_a_file_that_vanished_after_listing_is_reported_at_once(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.jpg"
    with socket.socket(socket.AF_UNIX) as server:
        if what == "pipe":
            os.mkfifo(path)
        elif what == "device":
            path.symlink_to("/dev/zero")
        else:
            server.bind(str(path))
        assert not list(list_folder(str(tmp_path)))
        for read in (files.read_whole, files.read_if_there):
            with pytest.raises(files.Unreadable, match=r"not a regular file|cannot be read"):
                read(str(path))
        with pytest.raises(BadInput):
            files.read_head(str(path), 8)
        if what != "socket":
            with pytest.raises(BadInput, match="not a regular file"):
                write_whole(str(path), b"x", str(tmp_path), lambda _: True)


def test_links_to_themselves_are_passed_over_and_folders_looked_at_once(tmp_path: Path) -> None:
    place(tmp_path, "a/b.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "a/up").symlink_to("..")
    assert found(tmp_path) == ["a/b.jpg"]
    with pytest.raises(NothingFound):
        found(tmp_path / "loop.jpg")


def test_what_may_not_be_looked_at_is_listed_so_that_a_row_can_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path, "a.jpg", "locked/b.jpg", "secret/c.jpg")
    scandir, stat = os.scandir, Path.stat

    def refuse_folder(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    def refuse_file(path: Path, **options: bool) -> os.stat_result:
        if path.name == "c.jpg":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "scandir", refuse_folder)
    monkeypatch.setattr(Path, "stat", refuse_file)
    assert sorted(found(tmp_path)) == ["a.jpg", "locked", "secret/c.jpg"]
    assert sorted(file.path for file in list_folder(str(tmp_path))) == ["a.jpg", "secret/c.jpg"]
    with pytest.raises(NothingFound, match=r"locked cannot be listed: .*Permission denied"):
        found(tmp_path / "locked")


@pytest.mark.parametrize(
    "name", ["._a.jpg", "@eaDir/a.jpg", ".Trash-1000/files/a.jpg", ".thumbnails/a.jpg", "#recycle/a.jpg"]
)
def test_files_of_the_system_are_no_sources_unless_they_are_named(tmp_path: Path, name: str) -> None:
    for place in (name, "b.jpg"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"x")
    found = [file.relative_path for file in find_files(str(tmp_path), frozenset({".jpg"}), "out")]
    assert found == ["b.jpg"]
    assert list(find_files(str(tmp_path / name), frozenset({".jpg"}), "out"))


def test_files_of_other_kinds_are_counted_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.xmp", "b.XMP", "c.mov", "._c.mov", "notes", "out/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    kinds = collections.Counter[str]()
    found = list(find_part(Part(str(tmp_path)), frozenset({".jpg"}), str(tmp_path / "out"), kinds))
    assert [file.relative_path for file in found] == ["a.jpg"]
    assert kinds == {"xmp": 2, "mov": 1, "": 1}


@pytest.mark.parametrize(
    ("folder", "file", "expected"),
    [(0o755, 0o644, 0o644), (0o700, 0o644, 0o600), (0o711, 0o644, 0o644), (0o755, 0o604, 0o604)],
)
def test_a_file_is_readable_by_those_who_could_get_to_its_source(
    folder: int, file: int, expected: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        root.chmod(0o755)
        theirs = root / "theirs" / "photo.jpg"
        theirs.parent.mkdir(folder)
        theirs.parent.chmod(folder)
        theirs.write_bytes(b"x")
        theirs.chmod(file)
        target = root / "archive" / "below" / "photo.jpg.jp2"
        source = SourceFile(str(theirs), "photo.jpg", 1, 1_400_000_000.0)
        write_whole(str(target), b"y", str(root / "archive"), like=source)
        assert oct(target.stat().st_mode & 0o777) == oct(expected & ~local_disk._umask())
        listable = 0o755 if folder == 0o755 else 0o700
        assert oct(target.parent.stat().st_mode & 0o777 & 0o744) == oct(listable & 0o744)


def test_a_private_file_is_private_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    monkeypatch.setattr(
        local_disk, "_widen", lambda descriptor, _: modes.append(os.fstat(descriptor).st_mode)
    )
    write_whole(str(tmp_path / "archive" / "photo.jp2"), b"y", str(tmp_path / "archive"))
    assert [mode & 0o777 for mode in modes] == [0o600]


def test_a_file_gets_the_time_of_its_source_and_no_more_rights(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.jpg"
    theirs.write_bytes(b"x")
    theirs.chmod(0o600)
    source = SourceFile(str(theirs), "theirs.jpg", 1, 1_400_000_000.0)
    target = tmp_path / "archive" / "theirs.jpg.jp2"
    version = write_whole(str(target), b"y", str(tmp_path / "archive"), like=source)
    assert (target.stat().st_mtime, target.stat().st_mode & 0o777) == (1_400_000_000.0, 0o600)
    assert version == next(iter(list_folder(str(tmp_path / "archive")))).version
    for modified in (0.0, -86_400.0):  # as cameras without a clock and old archives leave it
        old = dataclasses.replace(source, modified=modified)
        write_whole(str(target), str(modified).encode(), str(tmp_path), lambda _: True, old)
        assert target.stat().st_mtime == modified


def test_a_range_of_a_file_is_read_alone(tmp_path: Path) -> None:
    place(tmp_path, "0123456789.jpg")
    url = str(tmp_path / "0123456789.jpg")
    assert files.size_of(url) == files.size_of(f"file://{url}") == 14
    assert files.read_range(url, 3, 7) == b"3456"
    assert files.read_range(url, 10, 99) == b".jpg"
    version = files.stored_file(url)
    assert files.read_range(url, 3, 7, version) == b"3456"
    os.utime(url, (1, 1))
    with pytest.raises(BadInput, match="changed while being read"):
        files.read_range(url, 3, 7, version)
    for missing in (str(tmp_path / "a.jpg"), f"{url}/b"):
        with pytest.raises(FileNotFoundError):
            files.size_of(missing)
        with pytest.raises(FileNotFoundError):
            files.read_range(missing, 0, 5)
