"""Foveate: photo archives as standard JPEG 2000 files, with the bits where people look."""
