"""The machines of a run: who gets which cores and GPUs, the Ray cluster, its actors, and waiting for them."""
