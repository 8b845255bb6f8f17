"""Repeat a training step from its run's files: with the run's settings, or with others."""
