"""How the networks are trained: `foveate train` calls these modules; `writing` is run by itself.

Where to start:
  restoration          RecCNN and ComCNN; `regions` keeps what they are trained on
  msroi                MS-ROI; `compositions` and `salient_views` vary its photos
  dncnn                DnCNN
  writing              the text network; `written_views` composes its pictures
  fitting, optimizer   the training loop and its optimizer; `perception` and `similarity` are losses
"""
