"""The version, in the one place where it is written.

Knows: nothing. pyproject.toml reads this file when it builds; ``memento.__version__`` is this name.
"""

from __future__ import annotations

__version__ = "2.0.0.dev0"
