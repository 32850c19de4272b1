"""`python -m benchmarks` runs them all."""

from benchmarks.harness import main

main()
