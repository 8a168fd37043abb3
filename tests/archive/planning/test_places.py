"""Tests that places are equal exactly for names that may compete for one place in an archive."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from foveate.archive.names import claim_of
from foveate.archive.planning.collect import source_of, source_table
from foveate.archive.planning.places import held_places, places_of
from foveate.storage.folding import folded
from foveate.storage.source import SourceFile, SourcePage

NAMES = (
    *("a.jpg", "A.JPG", "a.jpg.jp2", "a.jpg.jp2.jp2", "b/a.jpg", "ä.jpg", "Ä.jpg", "a\u0308.jpg"),
    *("a\u0308.jpg.jp2", "K.png", "\u212a.png", "k.png", "ß", "ss", ".jp2", "", "a.jp2x", "x\n.jp2"),
)
PATHS = st.lists(st.sampled_from(NAMES) | st.text(max_size=4), max_size=20)
ANY_NAME = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=5)


@given(PATHS)
def test_places_are_equal_if_folded_claims_are(paths: list[str]) -> None:
    places = places_of(pa.chunked_array([paths[:3], paths[3:]], pa.string())).tolist()
    keys = [folded(claim_of(path)) for path in paths]
    assert [places.index(place) for place in places] == [keys.index(key) for key in keys]


def test_an_encrypted_file_and_a_plain_one_of_a_photo_are_held_together() -> None:
    one, two, other = held_places(pa.chunked_array([["a.jpg.jp2", "a.jpg.enc", "a.jpg.env"]]))
    assert one == two != other


@given(st.lists(ANY_NAME, max_size=5))
def test_a_spooled_source_is_the_source_whatever_its_name(names: list[str]) -> None:
    sources = [
        SourceFile(f"/in/{name}", name, number, 0.25 * number, number, str(number), "md5:x")
        for number, name in enumerate(names)
    ]
    rows = source_table(SourcePage.of(sources)).to_pylist()
    assert [source_of(row) for row in rows] == sources
