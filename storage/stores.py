"""Finds the object store for a URL.

Beam's filesystems know neither an object's generation nor its checksum, write without preconditions, and may
take minutes to say that nobody answers. So what Foveate lists, reads and writes goes through clients of its
own, with the options that Beam has for them (`--s3_endpoint_url`, `--impersonate_service_account`, ...).
Every object is written by a single put: it is there whole or not at all.
"""

from __future__ import annotations

import os

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from foveate.storage.google_store import google_store
from foveate.storage.object_store import Store
from foveate.storage.s3_store import s3_store

_NO_OPTIONS = PipelineOptions([])


def store_of(url: str) -> Store | None:
    """The store of a url; None for local files and for schemes that only Beam knows.

    Raises:
      ValueError: what it takes to reach such a store is not installed.
    """
    scheme = url.partition("://")[0]
    if scheme == "gs":
        return google_store(os.environ.get("STORAGE_EMULATOR_HOST", ""), _options())
    if scheme == "s3":
        return s3_store(_options())
    return None


def _options() -> PipelineOptions:
    """The command line's options; Beam passes them to every worker, but has no public way to read them."""
    return FileSystems._pipeline_options or _NO_OPTIONS


# ---------------------------------------------------------------- Google Cloud Storage


# ---------------------------------------------------------------- S3
