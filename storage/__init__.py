"""Files and listings: local disks, gs:// and s3://.

Where to start:
  files                reading and writing whole files, wherever they are
  listing, selection   finding the sources of a run
  object_store         the interface of stores; `google_store` and `s3_store` implement it
  redaction            keeping secrets out of messages
"""
