"""Values of many kinds, for what keys promise of every kind: each difference counts, and what is rebuilt is the same."""
