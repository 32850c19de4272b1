"""A run's origin is kept, its secrets are not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from memento.store import provenance


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *names, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(provenance, "GIT_SECONDS", 120.0)  # on any machine
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    return tmp_path


def test_a_clean_repository_is_its_commit(repository: Path) -> None:
    state = provenance.git_state(repository)
    assert state is not None
    assert state["commit"] == git(repository, "rev-parse", "HEAD")
    assert (state["branch"], state["dirty"], state["diff"]) == ("trunk", False, "")


def test_uncommitted_changes_are_kept_and_untracked_files_are_named(repository: Path) -> None:
    (repository / "code.py").write_text("a = 2\n")
    (repository / "new é.py").touch()
    state = provenance.git_state(repository)
    assert state is not None
    assert state["dirty"] is True
    assert "-a = 1\n+a = 2" in state["diff"]
    assert state["untracked"] == ["new é.py"]


def test_a_long_diff_is_cut(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "DIFF_LIMIT", 500)
    (repository / "code.py").write_text("x = 1\n" * 1000)
    state = provenance.git_state(repository)
    assert state is not None
    assert len(state["diff"]) < 600
    assert "[cut after 500 bytes]" in state["diff"]


def test_the_remotes_password_is_not_kept(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://me:hunter2@example.org/code.git")
    state = provenance.git_state(repository)
    assert state is not None
    assert state["remote"] == "https://***@example.org/code.git"


def test_a_folder_without_repository_has_no_git_state(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert provenance.git_state(tmp_path / "empty") is None


def test_where_there_is_no_repository_git_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_DIR", raising=False)
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    asked: list[object] = []
    monkeypatch.setattr(provenance, "_ask", lambda *arguments: asked.append(arguments))
    assert provenance.git_state(tmp_path / "deep" / "deeper") is None
    assert not asked
    (tmp_path / ".git").write_text("gitdir: elsewhere")  # of a worktree it is a file
    provenance.git_state(tmp_path / "deep" / "deeper")
    monkeypatch.setenv("GIT_DIR", "elsewhere")
    provenance.git_state(tmp_path.parent)
    assert len(asked) == 2 * len(provenance._QUESTIONS)


def test_a_machine_without_git_is_no_error(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.git_state(repository) is None


def test_what_is_gathered_is_plain_json_and_names_the_packages(tmp_path: Path) -> None:
    env = {"PYTHONHASHSEED": "7", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    found = provenance.gather(tmp_path, env=env)
    assert json.loads(json.dumps(found)) == found
    assert "numpy" in found["packages"]
    assert found["environment"] == {"PYTHONHASHSEED": "7"}


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["--password=x"], ["--password=***"]),
        (["--db-passwd", "x", "y"], ["--db-passwd", "***", "y"]),
        (["--wandb_api_key", "x"], ["--wandb_api_key", "***"]),
        (["TOKEN=x"], ["TOKEN=***"]),
        (["--client-secret=a=b"], ["--client-secret=***"]),
        (["mailto://me:pw@host"], ["mailto://***@host"]),
        (["--url=smtp://a:b@c/d"], ["--url=smtp://***@c/d"]),
        (["--token", "--verbose"], ["--token", "--verbose"]),
        (["--keys", "3", "--monkey", "x", "tokens.txt"], ["--keys", "3", "--monkey", "x", "tokens.txt"]),
    ],
)
def test_secrets_in_arguments_are_hidden(argv: list[str], kept: list[str]) -> None:
    assert provenance.redact(argv) == kept
