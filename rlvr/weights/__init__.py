"""How the learner's weights reach vLLM."""
