"""The page of `foveate compare`, on which a person chooses a quality.

Where to start:
  contents             the figures and pictures of the page
  versions, places     the versions of a photo, and the crops that are shown
  page                 the file around them (`reports/viewer.html`)
"""
