"""Tests that selecting from a listing follows the rules for each single file."""

from __future__ import annotations

import collections
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from foveate.storage.object_store import Page, StoredFile
from foveate.storage.selection import Selection, ending_of_name, is_excluded, is_of_system
from foveate.storage.source import SourceFile

EXTENSIONS = frozenset({".jpg", ".png"})
NAMES = st.sampled_from(
    ("a.jpg", "B.JPG", "c.png", "._a.jpg", "a.jpg.", ".jpg", "no ending", "x.tar.gz", "é.jpg", "@eaDir")
)
FOLDERS = st.sampled_from(
    ("", "2019/", "@eaDir/", "2019/@eaDir/", ".Trash-1000/x/", "out/", "outer/", "drafts/")
)


def plain(file: StoredFile, root: str, selection: Selection, results: str | None) -> SourceFile | str | None:
    """The rules for one file: its source, or the kind for which it is left out, or None."""
    bare = file.url.rstrip("/")
    path = bare[len(root) :].lstrip("/")
    if is_of_system(path) or is_excluded(path, selection.exclude):
        return None
    if results is not None and path.startswith(f"{results}/"):
        return None
    kind = Path(bare).suffix.lower()
    if kind not in selection.extensions and not file.url.endswith("/"):
        return kind.removeprefix(".")
    return SourceFile(bare, path, file.size_bytes, file.modified, 0, file.generation, file.checksum)


@given(
    st.lists(st.tuples(FOLDERS, NAMES), max_size=12),
    st.sampled_from(((), ("drafts",), ("2019/*", "*.png"))),
    st.sampled_from(("/p", "s3://b/p")),
)
def test_pages_are_selected_as_files_would_be(
    names: list[tuple[str, str]], exclude: tuple[str, ...], root: str
) -> None:
    files = [
        StoredFile(f"{root}/{folder}{name}", number, 1.5 * number, str(number), f"md5:{number}")
        for number, (folder, name) in enumerate(names)
    ]
    selection = Selection(EXTENSIONS, f"{root}/out", exclude)
    kinds = collections.Counter[str]()
    found = list(selection.below(Page.of(files), root, kinds).files())
    plainly = [plain(file, root, selection, "out") for file in files]
    assert found == [source for source in plainly if isinstance(source, SourceFile)]
    assert kinds == collections.Counter(kind for kind in plainly if isinstance(kind, str))


def test_a_folder_that_cannot_be_listed_is_a_source() -> None:
    page = Page.of([StoredFile("/p/locked/", 0, 0.0)])
    (found,) = Selection(EXTENSIONS, "/out").below(page, "/p").files()
    assert (found.url, found.relative_path) == ("/p/locked", "locked")


@given(st.text(st.sampled_from("ab.J/"), max_size=8))
@example(".jpg")
@example("a.jpg")
@example("folder.d/name")
def test_an_ending_is_what_paths_call_a_suffix(name: str) -> None:
    path = f"x{name}".rstrip("/")
    if "/./" not in f"{path}/":  # paths leave such parts out
        assert ending_of_name(path) == Path(path).suffix.lower()


@given(st.lists(st.integers(0, 9), max_size=10), st.integers(0, 9), st.integers(0, 9))
def test_a_page_is_cut_at_urls(numbers: list[int], start: int, end: int) -> None:
    page = Page.of(StoredFile(f"s3://b/{number}", number, 0.0) for number in sorted(numbers))
    cut = page.between(f"s3://b/{start}", f"s3://b/{end}")
    assert list(cut.sizes) == [number for number in sorted(numbers) if start <= number < end]
    assert page.between("", "") is page
