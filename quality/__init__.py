"""Measures of fidelity, as functions of two arrays.

Where to start:
  measures             all measures of a photo at once
  psnr, ssim, ssimulacra2, fsim, hvs, vif
                       one measure each
  saliency             measures weighted by a saliency map
"""
