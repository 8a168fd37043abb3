"""JPEG 2000: pixels to files and back, as arrays and bytes. No Beam, no networks, no other formats.

Where to start:
  file                 every JP2 file that Foveate writes, from pixels to bytes; and back
  goals                what a file is made for: no loss, bytes, a slope, a quality
  encoder              pixels to a codestream: `dwt`, `block_coder` and `tier1` code the blocks, `hulls` and
                       `allocation` choose what to keep
  saliency_weights     how many more bits a salient block gets; `masking` what is visible (`--tune`);
                       `block_weights` multiplies all weights
  quality_target       the slope that gives a score (`--quality`); `quality_search` other targets
  packet_stream        a codestream parsed down to its codewords: `codestream`, `layout`, `packets`
  transcoder           a smaller codestream without re-encoding
  jp2, record          boxes around a codestream; Foveate's own box
  excerpt, ranged      reading parts of a file
  anatomy, walk        what a file contains, valid or broken
  openjpeg             decoding
"""
