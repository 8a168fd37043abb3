"""The networks: what each computes, how its weights are loaded, and (in `training`) how it is trained.

Where to start:
  structures           the saliency map of a photo: `msroi` for objects, `faces`, `writing`
  reccnn, comcnn       restoring decoded photos, and filtering photos before they are coded
  dncnn                removing JPEG artifacts
  tiling, loading      running a network over large photos; sharing it within a process
"""
