"""The sequence of stages as one command: a graph of artefacts, and what each stage added, as a table."""
