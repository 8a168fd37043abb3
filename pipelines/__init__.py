"""The commands: one module each, with its flags and its pipeline.

Where to start:
  cli                  the `foveate` command and the list of subcommands
  compress             the pipeline of `compress`; its flags are in `compress_options` and `source_flags`
  flag_types           what the values of flags may be
  running              flags that commands share, engines, progress, messages and exit statuses
"""
