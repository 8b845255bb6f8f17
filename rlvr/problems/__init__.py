"""Where problems come from, how they are put to the model, and which come next."""
