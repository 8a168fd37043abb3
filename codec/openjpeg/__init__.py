"""Decodes JPEG 2000 files to pixels: the only place that calls OpenJPEG.

Every call makes its own codec, so calls may run in threads and in forked processes. Pictures come out tile
by tile: beside the picture itself, a call holds the library's 32-bit samples of one tile.

Terms follow ISO/IEC 15444-1: a *codestream* begins with SOC (FF4F), a *JP2 file* with the signature box.
"""

from foveate.codec.openjpeg.binding import OpenjpegError, library_version
from foveate.codec.openjpeg.decoding import Decoded, decode
from foveate.codec.openjpeg.streams import says_no_memory

__all__ = ["Decoded", "OpenjpegError", "decode", "library_version", "says_no_memory"]
