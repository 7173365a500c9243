"""What README and CONTRIBUTING promise: commands that parse, targets and files that exist."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from FlareMRCore.cli import main as command_line

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PROGRAM = re.compile(
    r"^(?:flaremr|(?:\.venv/bin/)?python3? -m FlareMRCore|PythonSlicer -m FlareMRCore) "
)


def shell_lines(text: str) -> Iterator[str]:
    """Lines of the shell blocks of a Markdown text; continued lines are joined."""
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ").strip()


def commands() -> list[str]:
    """Arguments of every FlareMR command in the documents."""
    texts = ((REPOSITORY / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    lines = (line for text in texts for line in shell_lines(text))
    return [PROGRAM.sub("", line) for line in lines if PROGRAM.match(line)]


def parse(command: str) -> argparse.Namespace:
    """What the command line understands; SystemExit if it does not."""
    words = shlex.split(command, comments=True)
    return command_line._parser(command_line._modules(words)).parse_args(words)


def test_readme_shows_commands() -> None:
    assert any(command.startswith("segment ") for command in commands())


@pytest.mark.parametrize("command", commands())
def test_command_parses(command: str) -> None:
    assert parse(command).verb == command.split()[0]


def test_a_wrong_command_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("networks --no-such-option")
    assert "no-such-option" in capsys.readouterr().err


def test_verbs_in_the_readme_are_those_of_the_command_line() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z]+`(?:, `[a-z]+`)*) \|", readme, re.MULTILINE)
    shown = {verb for row in rows for verb in re.findall(r"[a-z]+", row)}
    assert shown == set(command_line.VERBS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_linked_files_exist(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    files = [link for link in links if link and "://" not in link]
    assert [link for link in files if not (REPOSITORY / link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_make_targets_exist(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    assert named <= known
