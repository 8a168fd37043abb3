"""The tests mirror the tree: `tests/<folder>/test_<module>.py` tests `<folder>/<module>.py`.

Tests that belong to no single module are listed here, with the reason.
"""

from __future__ import annotations

from pathlib import Path

from tests.test_imports import ALLOWED

ROOT = Path(__file__).parents[1]
# Folders of tests in which whole commands, pages or engines are tested rather than one module.
WHOLE = {
    "docs": "the pages of docs/ and their commands",
    "e2e": "whole pipelines through the command line",
    "engines": "whole pipelines on Prism and Flink",
    "golden": "the bytes of whole archives",
}
EXCEPTIONS = {
    "test_imports.py": "all modules: what each imports",
    "test_tree.py": "the tree itself",
    "benchmarks/test_sections.py": "every module that is a section of the benchmarks' document",
    "codec/test_conformance.py": "all that reads codestreams, with the features of the conformance suite",
    "codec/test_decoded_elsewhere.py": "the encoder's files in other programs' decoders",
    "codec/test_fuzz.py": "all that parses, with damaged files",
    "codec/test_rearranged.py": "codestream, layout and packets, with real pictures in other structures",
    "codec/test_structures.py": "codestream, layout and packets, with made-up packets of every structure",
    "deploy/test_image.py": "deploy/Dockerfile and deploy/requirements.txt",
    "deploy/test_schedule.py": "deploy/schedule.sh",
    "models/test_cards.py": "the model cards in models/weights",
    "models/test_networks.py": "comcnn and reccnn, which are alike",
    "quality/test_perceptual.py": "hvs, vif and fsim, against one table of published values",
    "reports/test_browser.py": "page.html, page.css and page.js in a browser",
    "reports/viewer/test_browser.py": "viewer.html, viewer.css and viewer.js in a browser",
}
MOST_LINES = 400
LONG = {
    "codec/packet_kernels.py": "compiled loops that call each other: numba renews them by file",
    "codec/tier1.py": "likewise",
    "codec/tier1_decoder.py": "likewise",
    "tests/codec/test_jp2.py": "all boxes",
    "tests/e2e/test_compress_restore.py": "one archive, made once and looked at from many sides",
    "tests/pictures/test_dicom.py": "one format",
    "tests/pictures/test_formats.py": "all formats",
}


def unit_tests() -> list[str]:
    """Paths below tests/ of all test files that should have a module."""
    paths = (path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py"))
    return sorted(path.as_posix() for path in paths if path.parts[0] not in WHOLE)


def has_its_module(test: str) -> bool:
    """Whether the module or package that a test's path names exists."""
    path = Path(test)
    folder = path.parent if len(path.parts) > 1 else Path("foveate")
    module = ROOT / folder / path.name.removeprefix("test_")
    alternatives = (module, module.with_suffix("") / "__init__.py", module.with_name(f"__{module.stem}__.py"))
    return any(alternative.is_file() for alternative in alternatives)


def test_every_test_is_where_its_module_is() -> None:
    assert not [test for test in unit_tests() if not has_its_module(test) and test not in EXCEPTIONS]


def test_every_exception_is_one() -> None:
    assert set(EXCEPTIONS) <= set(unit_tests())
    assert not [test for test in EXCEPTIONS if has_its_module(test)]
    assert all((ROOT / "tests" / folder).is_dir() for folder in WHOLE)


def test_a_test_without_a_module_is_seen() -> None:
    assert has_its_module("archive/test_newest.py") and has_its_module("test_compiled.py")
    assert has_its_module("codec/test_openjpeg.py") and has_its_module("benchmarks/test_main.py")
    assert not has_its_module("archive/test_oldest.py") and not has_its_module("test_newest.py")


def test_every_folder_of_the_package_has_tests_and_a_rule_of_imports() -> None:
    setup = (ROOT / "setup.py").read_text().partition("FOLDERS = (")[2].partition(")")[0]
    folders = {line.strip(' ",') for line in setup.splitlines() if line.strip()}
    assert folders == set(ALLOWED)
    assert folders == {link.name for link in (ROOT / "foveate").iterdir() if link.is_symlink()}
    assert all(list((ROOT / "tests" / folder).rglob("test_*.py")) for folder in folders)


def test_no_module_is_long_without_a_reason() -> None:
    folders = (*ALLOWED, "foveate", "benchmarks", "deploy", "docs", "tests", ".ci")
    files = {path for folder in folders for path in (ROOT / folder).rglob("*.py")}
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in files
        if path.parts[len(ROOT.parts) + 1] not in ALLOWED or path.parts[len(ROOT.parts)] != "foveate"
    }
    assert {name for name, lines in lengths.items() if lines > MOST_LINES} == set(LONG)
