"""The stages of training: each a short loop over the other packages."""
