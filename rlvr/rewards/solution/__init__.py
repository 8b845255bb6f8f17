"""What a worked solution claims, step by step: found in its LaTeX, its bare formulas and its prose."""
