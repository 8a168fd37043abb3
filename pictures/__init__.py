"""Every picture format except JPEG 2000: decoding, encoding, metadata, and reasons to keep a file unchanged.

Where to start:
  formats              bytes to a `Picture` and back, whatever the format
  jpeg, png, tiff, ... one format each; `*_parts` lists the parts of a file, and what happens to each
  accounting           the rule for all parts: carried, dropped and named, or a reason to keep the source
  reasons              codes for why a file is kept
  exif, xmp, icc, ...  metadata that several formats share
"""
