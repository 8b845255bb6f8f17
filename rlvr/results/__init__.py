"""Tables and pictures of what a run has measured."""
