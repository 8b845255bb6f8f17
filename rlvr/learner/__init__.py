"""One DeepSpeed learner for every stage."""
