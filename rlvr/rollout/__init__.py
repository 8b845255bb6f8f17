"""A policy answers problems: the vLLM engine, its Ray actor and the pool."""
