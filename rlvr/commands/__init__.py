"""`rlvr …`: one thin module for each command."""
