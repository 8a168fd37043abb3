"""The commands: one module each, with its flags and its pipeline.

Where to start:
  cli                  the `foveate` command and the list of subcommands
  compress             the pipeline of `compress`; `compress_options` has its options, from all their flags
  target_flags, allocation_flags, source_flags, metrics_flag, key_flag, shared_flags
                       flags by purpose; a flag of a single command is in the command's module
  flag_types           the values that flags accept
  running              engines, progress, messages and exit statuses
"""
