"""Give every value a digest, every task a key, and every version of the user's code a name.

Knows: values, their digests, source code. May not know: matrices, stores, plans.
"""
