"""Beam stages and nothing else: one `PTransform` per step of a pipeline, around pure functions.

Where to start:
  elements             what passes between the stages
  steps, networks      what all stages share: failures become rows, networks run behind `RunInference`
  feeds                how sources reach a pipeline: a plan, rounds of a watch, a stream
  read, map_saliency, encode, run_reccnn, measure, write, write_tables
                       the stages of `compress`, in order; `foveate.pipelines.compress.build` connects them
  name_restored, decode, run_reccnn, write_pictures
                       the stages of `restore`
"""
