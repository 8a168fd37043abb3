"""Help to label photos, and the rules for it: `python -m benchmarks.label PHOTO... --output DIR`.

Draws each photo with a grid of tenths and the boxes that benchmarks/places.json has for it: faces red,
heads orange, writing blue, things green. Edit the file, draw again, look again. `--check FOLDER` says which
photos of a folder have no kind yet.

Rules:

* Only photos on which no network was trained, free to use. benchmarks/place_photos.csv says of each where it
  comes from, whose it is, and which half it is in. All photos of a source are in one half, since they may
  show the same people and things. Thresholds are chosen by the development half alone.
* Every photo has one kind: what one would say first. page: a document or screenshot. texture: nothing stands
  out. people, thing, building (rooms and streets too), landscape (sea and sky too).
* faces: each of which an eye and the mouth or nose can be seen, profiles, sunglasses, helmets and paintings
  too; from the brows to the chin. heads: every head, hair, hat and back of it, whether or not its face has a
  box; braids and long hair as far as one would call it the head.
* writing: a block of lines that belong together, whatever the script, if one can read a word of it at full
  size, or could if one knew the script. Numbers are writing, logos without letters are not, nor keys. Signs,
  labels and screens count where they say something: the box is about the words, not about the board. Slanted
  blocks have upright boxes; a block that bends or fans out has several.
* things: what a caption would name beside people, at most three a photo; none where there is only scenery.
* unclear: a photo that has faces or writing too blurred or too small to be labeled (heads below some 12
  pixels, words that one sees but cannot read). It does not count as one without them.
* Left, top, right, bottom, in hundredths of the sides, of small boxes in thousandths; a box may be 2 % too
  large, not too small. Look at small places and crowds magnified, and draw every box back on the photo.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

PLACES = Path(__file__).parent / "places.json"
COLORS = {"heads": "orange", "faces": "red", "writing": "blue", "things": "lime"}
_SIDE = 1200  # pixels of a drawing's longer side


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> None:
    """Draws, or checks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=Path("labels"), metavar="DIR")
    parser.add_argument("--check", type=Path, metavar="FOLDER")
    args = parser.parse_args(argv)
    places = json.loads(PLACES.read_text())
    if args.check:
        for name in unlabeled(places, args.check):
            show(f"{name}: no kind")
    args.output.mkdir(parents=True, exist_ok=True)
    for photo in args.photos:
        with Image.open(photo) as image:
            drawn(image, {kind: places[kind].get(photo.stem, []) for kind in COLORS}).save(
                args.output / f"{photo.stem}.png"
            )


def unlabeled(places: dict[str, Any], folder: Path) -> list[str]:
    """The photos of a folder that have no kind."""
    known = {name for names in places["kinds"].values() for name in names}
    return sorted(path.name for path in folder.iterdir() if path.stem not in known)


def drawn(photo: Image.Image, boxes: dict[str, Sequence[Sequence[float]]]) -> Image.Image:
    """A photo with a grid of tenths, and boxes given as shares of its sides."""
    scale = _SIDE / max(photo.size)
    width, height = (max(1, round(side * scale)) for side in photo.size)
    picture = photo.convert("RGB").resize((width, height))
    pen = ImageDraw.Draw(picture)
    for tenth in range(1, 10):
        x, y = width * tenth // 10, height * tenth // 10
        color = "yellow" if tenth == 5 else "gray"
        pen.line((x, 0, x, height), fill=color)
        pen.line((0, y, width, y), fill=color)
    for kind, those in boxes.items():
        for left, top, right, bottom in those:
            corners = (left * width, top * height, right * width, bottom * height)
            pen.rectangle(corners, outline=COLORS[kind], width=3)
    return picture


if __name__ == "__main__":
    main()
