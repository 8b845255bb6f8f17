"""Tables and plots of a run's results."""
