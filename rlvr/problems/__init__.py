"""Problem sources, prompts, and the order of problems in training."""
