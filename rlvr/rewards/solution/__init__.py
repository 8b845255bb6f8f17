"""Extraction of a worked solution's claims from its LaTeX, plain formulas and prose."""
