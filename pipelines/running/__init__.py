"""How commands run their pipelines.

Where to start:
  runner               runs a pipeline and gives the exit status
  engines              where it runs; `exhaustion` and `interrupts` end it
  plans                what it has to do
  display, requests    what it shows
  lock                 one run at a time in a local folder
"""
