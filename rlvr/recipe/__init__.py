"""The sequence of stages as one command: a graph of artefacts, and the table that says what each stage added."""
