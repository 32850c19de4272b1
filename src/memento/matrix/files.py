"""placeholder"""
from __future__ import annotations
from pathlib import Path
from typing import Any
def load_file(path: str | Path) -> dict[str, Any]:
    raise NotImplementedError
