"""What the README and the guide show works as it stands there, and their outputs are those of today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import outputs

README = Path(__file__).parent.parent / "README.md"
PAGE = README.read_text("utf-8")
PAGES = [README, README.parent / "docs" / "guide.md"]
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


@pytest.mark.slow
@each_page
def test_the_outputs_that_a_page_shows_are_those_of_today(path: Path) -> None:
    page = path.read_text("utf-8")
    differs = outputs.stale(page, outputs.renewed(page, path.stem.lower()))
    assert not differs, "`make readme` writes them anew:\n" + "\n".join(differs)


@pytest.mark.slow
def test_the_readmes_python_runs_as_one_script_and_the_second_time_computes_nothing(tmp_path: Path) -> None:
    first, second = (outputs.run(PAGE, tmp_path, "readme")[1] for _ in range(2))
    assert "4 done" in first
    assert "4 tasks, all cached" in second
    assert re.findall(r"[1-9]\d* done", second) == []


@each_page
def test_every_example_that_prints_shows_what_it_prints(path: Path) -> None:
    page = path.read_text("utf-8")
    printing = [
        i
        for i, block in enumerate(outputs.blocks(page, "python"))
        if re.search(r"^print\(|^    print\(", block, re.MULTILINE)
    ]
    assert {one.block for one in outputs.shown(page)} >= set(printing)


def test_the_matrix_error_that_the_readme_shows_is_the_one_that_is_raised() -> None:
    from memento import Matrix

    with pytest.raises(ValueError, match="modle") as caught:
        Matrix.of({"parameters": {"model": [1]}, "exclude": [{"modle": 1}]})
    shown = next(text for text in outputs.blocks(PAGE, "text") if text.startswith("MatrixError"))
    assert shown.strip() == f"MatrixError: {caught.value}"


@each_page
def test_every_file_that_a_page_links_to_is_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


A_PAGE = """
```python
x = 1.5
print("x is", x, "after 3.2 s")
```

<!-- prints -->
```text
{first}```

```python
open("file", "w").write("kept")
```

```bash
not run
```

<!-- prints: cat file -->
```text
{second}```
"""


def test_a_page_is_renewed_and_stays_as_it_is_where_only_times_and_last_digits_differ() -> None:
    now = outputs.renewed(A_PAGE.format(first="", second="old\n"), "page")
    assert now == A_PAGE.format(first="x is 1.5 after 3.2 s\n", second="kept\n")
    assert outputs.stale(now, now) == []
    assert outputs.stale(A_PAGE.format(first="x  is 1.51 after 714 ms\n", second="kept\n"), now) == []
    for first in ("x is 1.7 after 3.2 s\n", "x was 1.5 after 3.2 s\n", ""):
        assert any(
            first.strip() in line for line in outputs.stale(A_PAGE.format(first=first, second="kept\n"), now)
        )


def test_a_page_whose_script_fails_says_so() -> None:
    with pytest.raises(SystemExit, match=r"page\.py ended with status 1[\s\S]*ZeroDivisionError"):
        outputs.renewed("```python\n1 / 0\n```\n", "page")


def test_frames_of_libraries_are_left_out() -> None:
    page = """```python
import json, traceback
try:
    json.loads("{")
except ValueError:
    print(traceback.format_exc())
```

<!-- prints -->
```text
```
"""
    now = outputs.renewed(page, "page")
    assert 'File "page.py", line 3, in <module>' in now
    assert "json.decoder.JSONDecodeError" in now
    assert "lib/python" not in now
    assert "      ...\n" in now
