"""BLAKE2b, without the import of OpenSSL that `hashlib` brings along: 3 ms of every start.

Knows: where Python keeps it. May not know: what is hashed.

`hashlib.blake2b` is this very function in every Python that we support.
"""

from __future__ import annotations

from memento.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b as blake2b
else:
    try:
        from _blake2 import blake2b as blake2b
    except ImportError:  # a Python that has it elsewhere
        from hashlib import blake2b as blake2b
