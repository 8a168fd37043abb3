"""Packaging entry of Foveate (also what Beam's --setup_file wants); tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import setup

CPU_ONLY = "sys_platform == 'linux' and platform_machine == 'x86_64'"

ROOT = Path(__file__).parent
# The folders at the top of the repository are installed as parts of one package.
FOLDERS = (
    "archive",
    "codec",
    "models",
    "pictures",
    "pipelines",
    "quality",
    "reports",
    "sandbox",
    "storage",
    "transforms",
)
PACKAGES = {
    f"foveate.{module.parent.relative_to(ROOT).as_posix().replace('/', '.')}": str(
        module.parent.relative_to(ROOT)
    )
    for folder in FOLDERS
    for module in sorted((ROOT / folder).rglob("__init__.py"))
}
URL = "https://github.com/foveate/foveate"

setup(
    name="foveate",
    version="0.2.0",
    description="Compress photo archives into standard JPEG 2000 files, with the bits where people look",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The Foveate authors",
    url=URL,
    project_urls={
        "Source": URL,
        "Issues": f"{URL}/issues",
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
    },
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    keywords=["JPEG 2000", "image compression", "saliency", "region of interest", "archive", "Apache Beam"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Graphics",
        "Topic :: System :: Archiving :: Compression",
        "Typing :: Typed",
    ],
    python_requires=">=3.11,<3.14",
    packages=["foveate", *PACKAGES],
    package_dir=PACKAGES,
    package_data={
        "foveate": ["py.typed"],
        "foveate.codec": ["*.json"],
        "foveate.models": ["weights/*"],
        "foveate.reports": ["*.html", "*.css", "*.js"],
    },
    zip_safe=False,
    install_requires=[
        "apache-beam[gcp]>=2.72,<3",
        f"tensorflow-cpu>=2.16,<3; {CPU_ONLY}",
        "tensorflow>=2.16,<3; sys_platform != 'linux' or platform_machine != 'x86_64'",
        "keras>=3.8,<4",
        "imagecodecs>=2026.1.14",
        "google-cloud-storage>=2.14",
        "cryptography>=43",
        "numpy>=1.26,<3",
        "numba>=0.60",
        "pillow>=12.3,<13",
        "pyarrow>=15,<26",
        "duckdb>=1.1",
        "scikit-image>=0.24",
        "scipy>=1.11",
        "altair>=5.4",
        "jinja2>=3.1",
        "markupsafe>=2.1",
        "vl-convert-python>=1.7",
        "rich>=13",
        "simplejpeg>=1.8",
    ],
    extras_require={
        "aws": ["apache-beam[aws]>=2.72,<3"],
        "heic": ["pi-heif>=0.22"],
        # tensorflow-io is built against TensorFlow 2.16 (2.17 still loads it), for Python up to 3.12. What
        # that TensorFlow wants of Beam and protobuf is said here, or pip would look for it for long.
        "tfio": [
            "apache-beam[gcp]<2.73",
            "protobuf<5",
            "tensorflow-io==0.37.1; python_version < '3.13'",
            f"tensorflow-cpu<2.18; {CPU_ONLY}",
            "tensorflow<2.18; sys_platform != 'linux' or platform_machine != 'x86_64'",
            "numpy<2",
        ],
        "tfio-dev": ["pydicom>=3"],
        "docs": ["mkdocs-material>=9.6,<10"],
        "dev": [
            "axe-playwright-python>=0.1.4",
            "bjontegaard>=1.3",
            "boto3>=1.35.70",
            "constriction>=0.4,<1",
            "flask>=3",
            "flask-cors>=5",
            "gcp-storage-emulator>=2026.7",
            "hypothesis>=6.100",
            "imageio-ffmpeg>=0.5",
            "jpylyzer>=2.2",
            "jsonschema>=4.18",
            "moto[s3]>=5.1",
            "mypy>=1.13",
            "pandas>=2.2",
            "pi-heif>=0.22",
            "playwright>=1.45",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            "types-setuptools",
        ],
    },
    entry_points={"console_scripts": ["foveate = foveate.pipelines.cli:entry"]},
)
