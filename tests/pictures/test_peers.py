"""Files of other codecs that are as large as ours."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.pictures import peers
from foveate.pictures.peers import PEERS, Peer, PeerFiles
from tests.streams import texture

ALL = [peer for variants in PEERS.values() for peer in variants]


@pytest.mark.parametrize("peer", ALL, ids=lambda peer: peer.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_finest_file_within_a_budget_decodes_to_a_photo_of_the_same_shape(
    peer: Peer, channels: int
) -> None:
    photo = texture(61, 47, channels)
    coarsest, finest = (len(peer.encode(photo, peer.settings[at])) for at in (0, -1))
    budget = (coarsest + finest) // 2
    found = PeerFiles(peer, photo).within(budget)
    assert found is not None and coarsest <= len(found.data) <= budget
    assert found.pixels.shape == photo.shape and found.pixels.dtype == np.uint8
    assert abs(found.pixels.mean() - photo.mean()) < 8
    finer = peer.settings[peer.settings.index(found.setting) + 1]
    assert len(peer.encode(photo, finer)) > budget


@pytest.mark.parametrize("peer", ALL, ids=lambda peer: peer.name)
def test_nothing_fits_into_a_few_bytes(peer: Peer) -> None:
    assert PeerFiles(peer, texture(61, 47, 3)).within(20) is None


def test_each_setting_is_encoded_once_for_all_budgets() -> None:
    asked: list[float] = []

    def encode(colors: peers.Colors, setting: float) -> bytes:
        asked.append(setting)
        return bytes(int(setting))

    peer = Peer("made up", tuple(range(1, 60)), encode, lambda data: np.zeros((2, 3), np.uint8))
    files = PeerFiles(peer, np.zeros((2, 3, 1), np.uint8))
    for budget in (7, 7, 8, 30, 59, 200):
        found = files.within(budget)
        assert found is not None and found.setting == min(budget, 59)
        assert found.pixels.shape == (2, 3, 1)
    assert len(asked) == len(set(asked))


def test_alpha_is_left_out() -> None:
    for channels, colors in ((1, 1), (2, 1), (3, 3), (4, 3)):
        photo = texture(5, 7, channels)
        np.testing.assert_array_equal(peers.colors_of(photo), photo[:, :, :colors])
