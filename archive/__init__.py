"""What an archive is: the names, rows, tables and settings by which runs recognize what is done. No Beam.

Where to start:
  names                the name of an archived file
  rows, tables         the columns of the tables; reading and writing them
  newest               which row describes a photo
  settings             what makes an archived file out of date
  planning             what a run has to do
  claims, leases       several runs at once
  compact              merging small table files
  keys, encryption     encrypted archives
"""
