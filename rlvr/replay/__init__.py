"""A training step made again from what its run has left: with the run's settings, or with others."""
