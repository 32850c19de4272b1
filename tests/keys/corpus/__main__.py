"""Print the digests of all values as JSON: run by tests in other processes, with other hash seeds."""

from __future__ import annotations

import json
import warnings

from corpus.all import digests

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(digests()))
