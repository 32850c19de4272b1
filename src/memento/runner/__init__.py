"""Run a plan: the one loop over outcomes, retries, signals, the count of what is done.

Knows: plan, store's run, executor, events. May not know: the public class, the command line.
"""
