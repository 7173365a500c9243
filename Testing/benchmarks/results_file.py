"""Results of a benchmark: a JSON file that grows row by row, and the page written from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically


def load_results(path: Path) -> dict[str, Any]:
    """What was found so far; {} without a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def save_results(path: Path, found: dict[str, Any], page: str, text: str) -> None:
    """Write `found` to `path`, and `text` to the file `page` beside it."""
    write_text_atomically(path, json.dumps(found, indent=1, sort_keys=True) + "\n")
    write_text_atomically(path.with_name(page), text)
