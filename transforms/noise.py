"""The coding-noise map of an archive file, for RecCNN; needs no Beam, so that it can be read in isolation."""

from __future__ import annotations
