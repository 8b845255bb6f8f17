"""Reward functions, how they combine, and the service that runs them in killable processes."""
