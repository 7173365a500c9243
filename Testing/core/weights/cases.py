"""Entries of two small files, and a server whose answers a test chooses."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTENT = {
    "coarse.pt": bytes(range(256)) * 400,
    "fine.pt": hashlib.sha256(b"fine").digest() * 9_000,
}


def file_record(name: str, content: bytes, urls: list[str]) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "size": len(content), "sha256": digest, "urls": urls}


def network_record(file: str) -> dict[str, Any]:
    return {
        "builder": "flaremr-coarse",
        "file": file,
        "spacing_mm": [6.0, 6.0, 6.0],
        "fixed_shape": None,
        "multiple_of": [8, 8, 8],
        "organs": True,
        "views": ["flip-KJI", "zoom-0.94"],
        "margin_mm": 12,
    }


def entry_record(weights_id: str, files: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "id": weights_id,
        "version": "1.0",
        "title": "Test weights",
        "license": "CC0-1.0",
        "open_license": True,
        "files": files,
        "coarse": network_record(files[0]["name"]),
        "fine": network_record(files[-1]["name"]),
        **changes,
    }


@dataclass
class Mirror:
    """A server whose answers a test chooses by path; `requests` keeps (path, Range)."""

    address: str
    answers: dict[str, Callable[[Any, bytes, int], None]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    open_ended: threading.Event = field(default_factory=threading.Event)

    def url(self, name: str, folder: str = "good") -> str:
        return f"{self.address}/{folder}/{name}"


def send(handler: Any, content: bytes, offset: int = 0, **faults: Any) -> None:
    """Answer with `content` from `offset`; faults: length, stop_after, pause_s, ignore_range."""
    start = 0 if faults.get("ignore_range") else offset
    body = content[start:]
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    length = faults.get("length", len(body))
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    body = body[: faults.get("stop_after", len(body))]
    step = 4096 if faults.get("pause_s") else max(len(body), 1)
    for position in range(0, len(body), step):
        handler.wfile.write(body[position : position + step])
        time.sleep(faults.get("pause_s", 0))


def put(folder: Path, names: tuple[str, ...] = tuple(CONTENT)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(CONTENT[name])
    return folder
