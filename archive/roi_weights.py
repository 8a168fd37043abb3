"""Parses the weights of structures (`--roi-weights`): `objects=1,faces=1.3,writing=1.2`."""

from __future__ import annotations

import dataclasses

_MOST = 10.0


@dataclasses.dataclass(frozen=True)
class RoiWeights:
    """How much objects, faces and writing count, each from 0 (not at all, and not looked for) to 10.

    Only their ratios matter: the structure that counts most in a photo has all of the gain.
    """

    objects: float = 1.0
    faces: float = 1.3
    writing: float = 1.2

    def __str__(self) -> str:
        return ",".join(f"{name}={value:g}" for name, value in dataclasses.asdict(self).items())

    @property
    def values(self) -> tuple[float, float, float]:
        """In the order of `models.structures.NAMES`."""
        return self.objects, self.faces, self.writing


DEFAULT_ROI_WEIGHTS = RoiWeights()


def parse_roi_weights(text: str) -> RoiWeights:
    """Parses "objects=1,faces=1.3"; structures that are not named keep their defaults.

    Raises:
      ValueError: it means none; the message is a sentence.
    """
    names = [field.name for field in dataclasses.fields(RoiWeights)]
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in names or name in found:
            raise ValueError(
                f"expected NAME=WEIGHT of {', '.join(names)}, separated by commas, each at most once, not "
                f"{text}"
            )
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ValueError(f"the weight of {name} must be a number, not {value}") from error
        if not 0 <= found[name] <= _MOST:
            raise ValueError(f"the weight of {name} must be from 0 to {_MOST:g}, not {value}")
    weights = RoiWeights(**found)
    if not any(weights.values):
        raise ValueError("at least one weight must be above 0; use --roi none to treat all places alike")
    return weights
