"""The processes in which reward functions run, from both sides of the sockets between them."""
