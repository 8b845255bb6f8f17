"""Generating rollouts: the vLLM engine, its Ray actor and the pool; teachers behind endpoints."""
