"""Encodes photos again from the pixels that ComCNN has prefiltered."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

from foveate.transforms.elements import CodedPhoto, PrefilteredPhoto
from foveate.transforms.encode import encode
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.steps import PhotoStage


def encode_prefiltered(element: PrefilteredPhoto, encoder: EncodeOptions) -> Iterator[CodedPhoto]:
    """The same photo with the file of its prefiltered pixels, if there are any."""
    coded = element.coded
    if element.prefiltered is None:
        yield coded
        return
    file = encode(coded.salient, element.prefiltered, encoder, prefiltered=True)
    seconds = coded.file.encode_seconds + element.comcnn_seconds + file.encode_seconds
    yield dataclasses.replace(coded, file=dataclasses.replace(file, encode_seconds=seconds))


@dataclasses.dataclass
class EncodePrefiltered(PhotoStage):
    """`PrefilteredPhoto` → `CodedPhoto`: codes prefiltered photos again."""

    encoder: EncodeOptions
    step = "encode prefiltered"

    def work(self) -> Callable[[PrefilteredPhoto], Iterator[CodedPhoto]]:
        """`encode_prefiltered`."""
        return functools.partial(encode_prefiltered, encoder=self.encoder)
