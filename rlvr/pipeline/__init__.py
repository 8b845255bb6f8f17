"""A run as a graph of stages: what is made from what, what is done already, and in which folder it lies."""
