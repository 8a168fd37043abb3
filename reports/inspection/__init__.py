"""What `foveate inspect` shows of a JPEG 2000 file.

Where to start:
  examination          everything that is found in a file
  terminal, sheet      as text, as a picture
"""
