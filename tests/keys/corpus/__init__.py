"""Values of many kinds: each difference counts to keys, and what is rebuilt is the same."""
