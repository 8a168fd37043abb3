"""Beam stages and nothing else: one `PTransform` per step of a pipeline, around pure functions.

Where to start:
  elements             what passes between the stages
  steps, networks      what all stages share: failures become rows, networks run behind `RunInference`
  feeds                how sources reach a pipeline: a plan, rounds of a watch, a stream
  read, map_saliency, encode, run_reccnn, measure, write, write_metrics
                       the stages of `compress`, in order; `foveate.pipelines.compress.build` connects them
  worth_archiving      when a source is kept unchanged because its JP2 would be no better
  name_restored, decode, run_reccnn, write_pictures
                       the stages of `restore`
  plan_checks, verify, write_findings
                       the stages of `verify`
"""
