"""Does a reward deserve trust? Completions whose verdict is known, and what a reward says to them."""
