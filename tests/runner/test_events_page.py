"""What `docs/events.md` shows works as it stands there."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_listeners_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMENTO_STORE", str(tmp_path / "store"))
    posted: list[str] = []

    class Board(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Board) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            told: dict[str, Any] = {
                "URL": f"http://127.0.0.1:{server.server_port}/", "__name__": "page",
            }  # fmt: skip
            for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
                exec(block.replace("Memento(experiment, ", "Memento(experiment, executor='serial', "), told)
        finally:
            server.shutdown()
            serving.join()
    assert "0.000 with x=3" in capsys.readouterr().out
    lines = (tmp_path / "tasks.csv").read_text(encoding="utf-8").splitlines()
    assert sorted(line.split(",")[1:4] for line in lines) == [
        ["1", "done", "4"], ["2", "done", "1"], ["3", "done", "0"], ["4", "done", "1"],
    ]  # fmt: skip
    (text,) = posted
    assert text.startswith("page")
    assert "4 done, 0 failed" in text
