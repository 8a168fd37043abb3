"""Makes JPEG 2000 files of random structures with several encoders."""

from __future__ import annotations

import dataclasses
import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.codec import allocation, jp2
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.jp2_boxes import pack_box
from foveate.codec.metadata import PhotoMetadata

_TRIALS = 20
_PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")


@dataclasses.dataclass(frozen=True)
class Varied:
    """A file, and how it was made."""

    name: str
    data: bytes


def picture(rng: np.random.Generator, channels: int, bits: int) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16: waves, an edge and grain; sides from 60 to 200."""
    height, width = (int(side) for side in rng.integers(60, 200, 2))
    y, x = np.mgrid[:height, :width] / max(height, width)
    tones = rng.uniform(3, 9, channels)
    planes = [0.5 + 0.25 * np.sin(tone * x + 5 * y) + 0.15 * np.sin(70 * x * y + tone) for tone in tones]
    found = np.where((x + 0.4 * y > 0.6)[..., None], np.stack(planes, 2), 0.3)
    found += rng.uniform(0.01, 0.06) * rng.standard_normal((height, width, 1))
    peak = (1 << bits) - 1
    pixels: NDArray[Any] = np.rint(np.clip(found, 0, 1) * peak).astype(np.uint8 if bits <= 8 else np.uint16)
    return pixels


def by_openjpeg(number: int, rng: np.random.Generator) -> Varied | None:
    """By opj_compress; None if it is not installed."""
    if shutil.which("opj_compress") is None:
        return None
    bits = int(rng.choice([8, 8, 8, 12, 12, 16, 4]))
    pixels = picture(rng, int(rng.choice([1, 3, 3])), bits)
    height, width, channels = pixels.shape
    form = f"{width},{height},{channels},{bits},u"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.raw"
        source.write_bytes(pixels.transpose(2, 0, 1).astype(">u2" if bits > 8 else "u1").tobytes())
        for _ in range(_TRIALS):  # some combinations are refused
            options = _openjpeg_options(rng, pixels)
            target = Path(folder) / str(rng.choice(["out.jp2", "out.j2k"]))
            command = ["opj_compress", "-i", str(source), "-o", str(target), "-F", form, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            if not done.returncode and target.exists():
                return Varied(f"{number}: opj_compress -F {form} {' '.join(options)}", target.read_bytes())
    raise RuntimeError(f"{' '.join(command)}: {done.stdout} {done.stderr}")


def _openjpeg_options(rng: np.random.Generator, pixels: NDArray[Any]) -> list[str]:
    options = ["-p", str(rng.choice(_PROGRESSIONS)), "-n", str(rng.integers(1, 7))]
    options += ["-r", str(rng.choice(["1", "4", "20,5", "30,10,2", "40,20,10,5,1"]))]
    style = int(rng.choice([0, 0, 1, 2, 4, 8, 32, 63, 5, 40]))
    block = str(rng.choice(["64,64", "32,32", "16,64", "4,256", "128,32"]))
    options += ["-M", str(style), "-b", block]
    precincts = rng.random() < 0.4
    if precincts:
        options += ["-c", str(rng.choice(["[128,128]", "[256,256],[128,128]", "[64,64],[32,32]"]))]
    if rng.random() < 0.4:
        options += ["-t", f"{rng.integers(40, 120)},{rng.integers(40, 120)}"]
        if not precincts:  # opj_compress 2.5 fails with both
            options += [["-TP", "R"], ["-TP", "L"], []][rng.integers(3)]
    if rng.random() < 0.3:
        options += ["-d", f"{rng.integers(1, 30)},{rng.integers(1, 30)}"]
    if rng.random() < 0.2 and pixels.shape[2] == 3:
        options += ["-ROI", f"c=0,U={rng.integers(1, 7)}"]
    for flag, share in (("-I", 0.4), ("-SOP", 0.3), ("-EPH", 0.3), ("-PLT", 0.2), ("-TLM", 0.2)):
        options += [flag] if rng.random() < share else []
    return options


def by_pillow(number: int, rng: np.random.Generator) -> Varied:
    """By Pillow, with its OpenJPEG."""
    channels = int(rng.choice([1, 3, 4]))
    pixels = picture(rng, channels, 8)
    options: dict[str, Any] = {
        "progression": str(rng.choice(_PROGRESSIONS)),
        "num_resolutions": int(rng.integers(1, 7)),
        "irreversible": bool(rng.random() < 0.5),
        "quality_layers": [[1], [20, 5, 1], [8], [30, 3]][rng.integers(4)],
        "codeblock_size": [(64, 64), (32, 32), (16, 128)][rng.integers(3)],
        "no_jp2": bool(rng.random() < 0.3),
    }
    if rng.random() < 0.4:
        options["precinct_size"] = (128, 128)
    if rng.random() < 0.4:
        options["tile_size"] = (int(rng.integers(50, 150)), int(rng.integers(50, 150)))
        if options["irreversible"]:
            sides = zip(pixels.shape[1::-1], options["tile_size"], strict=True)
            most = min(_most_resolutions(side, tile) for side, tile in sides)
            options["num_resolutions"] = min(options["num_resolutions"], most)
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(stream, "JPEG2000", **options)
    return Varied(f"{number}: Pillow {options}", stream.getvalue())


def _most_resolutions(side: int, tile: int) -> int:
    """How many resolutions the 9/7 wavelet may have along a side that is cut into tiles.

    OpenJPEG 2.5.4 fails an assertion, which ends the process, if it has to transform a single sample.
    """
    edges = [(start, min(start + tile, side)) for start in range(0, side, tile)]
    resolutions = 1
    while all(end - start > 1 for start, end in edges):
        edges = [((start + 1) // 2, (end + 1) // 2) for start, end in edges]
        resolutions += 1
    return resolutions


def by_us(number: int, rng: np.random.Generator) -> Varied:
    """By our encoder."""
    bits = int(rng.choice([8, 8, 16, 12, 1]))
    pixels = picture(rng, int(rng.integers(1, 5)), bits)
    coding = Coding(
        reversible=bool(rng.random() < 0.5) or bits == 1,
        block_size=int(rng.choice([16, 32, 64])),
        levels=int(rng.integers(1, 6)),
        tile_size=int(rng.choice([64, 96])) if rng.random() < 0.4 else None,
        bit_depth=bits,
        access=bool(rng.random() < 0.4),
    )
    encoder, layers = Encoder(pixels, coding=coding), int(rng.integers(1, 5))
    choice = encoder.whole(layers) if rng.random() < 0.5 else encoder.within(pixels.nbytes // 3, layers)
    data = jp2.wrap(allocation.encode(choice), metadata=PhotoMetadata())
    return Varied(f"{number}: {coding}, {layers} layers", data)


def by_gdal(number: int, rng: np.random.Generator) -> Varied | None:
    """By GDAL's JP2OpenJPEG, some georeferenced; None if it is not installed."""
    if shutil.which("gdal_translate") is None:
        return None
    channels, bits = ((1, 8), (3, 8), (4, 8), (1, 16))[rng.integers(4)]
    pixels = picture(rng, channels, bits)
    options = [f"PROGRESSION={rng.choice(_PROGRESSIONS)}", f"REVERSIBLE={rng.choice(['YES', 'NO'])}"]
    options += [f"QUALITY={rng.choice(['100', '25', '10,25,50'])}"]
    if rng.random() < 0.5:
        options += [f"PRECINCTS={rng.choice(['{128,128}', '{256,256},{256,256},{128,128}'])}"]
    if rng.random() < 0.5:
        options += [f"BLOCK{axis}SIZE={rng.integers(32, 128)}" for axis in "XY"]
        options += [f"TILEPARTS={rng.choice(['DISABLED', 'RESOLUTIONS', 'LAYERS', 'COMPONENTS'])}"]
    styles = ("BYPASS", "RESET", "TERMALL", "VSC", "PREDICTABLE", "SEGSYM")
    options += [f"CODEBLOCK_STYLE={rng.choice(styles)}"] if rng.random() < 0.4 else []
    options += [f"{flag}=YES" for flag in ("SOP", "EPH", "PLT", "TLM") if rng.random() < 0.3]
    place = ["-a_srs", "EPSG:4326", "-a_ullr", "0", "10", "10", "0"] if rng.random() < 0.5 else []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.tif", Path(folder) / str(rng.choice(["out.jp2", "out.j2k"]))
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(source)
        settings = [word for option in options for word in ("-co", option)]
        command = ["gdal_translate", "-q", "-of", "JP2OpenJPEG", *place, str(source), str(target), *settings]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
        return Varied(f"{number}: GDAL {' '.join([*place, *options])}", target.read_bytes())


def by_ffmpeg(number: int, rng: np.random.Generator) -> Varied | None:
    """By FFmpeg's encoder; None if it is not installed."""
    if shutil.which("ffmpeg") is None:
        return None
    shape = str(rng.choice(["rgb24", "gray", "yuv420p", "yuv444p", "gray16le", "rgb48le"]))
    options = ["-format", str(rng.choice(["j2k", "jp2"])), "-pred", str(rng.choice(["dwt97int", "dwt53"]))]
    options += ["-prog", str(rng.choice(_PROGRESSIONS)).lower(), "-q:v", str(rng.integers(1, 12))]
    if rng.random() < 0.4:
        options += ["-tile_width", str(rng.integers(32, 128)), "-tile_height", str(rng.integers(32, 128))]
    options += [word for flag in ("-sop", "-eph") if rng.random() < 0.4 for word in (flag, "1")]
    options += ["-layer_rates", "50,10,1"] if rng.random() < 0.3 else []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.jp2"
        Image.fromarray(picture(rng, 3, 8)).save(source)
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-pix_fmt", shape, "-c:v", "jpeg2000"]
        command += [*options, "-f", "image2", "-update", "1", str(target)]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
        return Varied(f"{number}: FFmpeg {shape} {' '.join(options)}", target.read_bytes())


def with_boxes(number: int, rng: np.random.Generator) -> Varied:
    """Our codestream in boxes of other programs: JPX, a long box, XML, UUID, resolution, two colors."""
    pixels = picture(rng, 3, 8)
    stream = allocation.encode(Encoder(pixels, coding=Coding(reversible=True)).whole(int(rng.integers(1, 4))))
    height, width, _ = pixels.shape
    inner = pack_box(b"ihdr", struct.pack(">IIH4B", height, width, 3, 7, 7, 0, 0))
    inner += pack_box(b"colr", struct.pack(">3BI", 1, 0, 0, 16))
    kind = str(rng.choice(["JPX", "long box", "XML and UUID", "resolution", "two colors"]))
    if kind == "two colors":
        inner += pack_box(b"colr", struct.pack(">3BI", 1, 0, 1, 18))
    if kind == "resolution":
        inner += pack_box(b"res ", pack_box(b"resc", struct.pack(">4H2B", 300, 1, 300, 1, 4, 4)))
    brands = b"jpx \0\0\0\0jp2 jpx " if kind == "JPX" else b"jp2 \0\0\0\0jp2 "
    head = pack_box(b"jP  ", b"\r\n\x87\n") + pack_box(b"ftyp", brands) + pack_box(b"jp2h", inner)
    extra = pack_box(b"xml ", b"<a/>")
    extra += pack_box(b"uuid", bytes(range(16)) + b"private") if kind == "XML and UUID" else b""
    body = pack_box(b"jp2c", stream)
    if kind == "long box":
        body = struct.pack(">I4sQ", 1, b"jp2c", 16 + len(stream)) + stream
    return Varied(f"{number}: boxes, {kind}", head + (extra + body if rng.random() < 0.5 else body + extra))


MAKERS: tuple[Callable[[int, np.random.Generator], Varied | None], ...] = (
    by_openjpeg,
    by_us,
    by_pillow,
    by_gdal,
    by_openjpeg,
    by_ffmpeg,
    by_openjpeg,
    with_boxes,
)
