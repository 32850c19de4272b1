"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_readmes_python_runs_as_one_script_and_the_second_time_computes_nothing(tmp_path: Path) -> None:
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks("python")))
    first, second = (
        subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr
    assert "RandomForestClassifier" in first.stdout
    assert "6 done" in first.stderr
    assert "6 tasks" in second.stderr
    assert "done" not in second.stderr


def test_the_matrix_error_that_the_readme_shows_is_the_one_that_is_raised() -> None:
    from memento import Matrix

    with pytest.raises(ValueError, match="modle") as caught:
        Matrix.of({"parameters": {"model": [1]}, "exclude": [{"modle": 1}]})
    shown = next(text for text in blocks("text") if "MatrixError" in text)
    assert shown.strip() == f"MatrixError: {caught.value}"


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8")):
        assert (README.parent / target).exists(), target
