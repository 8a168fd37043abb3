"""Reports on archives, the page of `compare`, and what `inspect` shows.

Where to start:
  contents             what a report contains; `aggregate` computes it, `staging` loads the tables
  terminal, page, document
                       a report as text, as a web page, as JSON
  headlines, gates     the figures of `--fail-if`, and its conditions
  inspection           what `foveate inspect` shows
  viewer               the page of `foveate compare`
"""
