"""The module of this name in 1.2.0, for scripts that import from it; everything stands in `memento`."""

from __future__ import annotations

from memento.config import Config, Configurations
from memento.matrix.matrix import generate_configurations

__all__ = [
    "Config",
    "Configurations",
    "generate_configurations",
]
