"""Values as they are stored: what workers and readers need, in one place.

Knows: the names of `files` and `formats`. May not know: anything else.
"""

from memento.values.files import PayloadDir
from memento.values.formats import decode, encode

__all__ = ["PayloadDir", "decode", "encode"]
