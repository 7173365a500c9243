"""A store in a folder with a difficult name, and a server that misbehaves on request."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from FlareMRCore.weights.options import DownloadOptions
from FlareMRCore.weights.registry import load_registry
from FlareMRCore.weights.store import WeightsStore
from Testing.core.weights.cases import CONTENT, Mirror, entry_record, file_record, send


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.requests.append((self.path, wanted))
            offset = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            folder, name = self.path.strip("/").split("/")
            try:
                state.answers.get(folder, send)(self, CONTENT.get(name, b""), offset)
            except ConnectionError:
                return  # the client left, as it may

        def log_message(self, *arguments: Any) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    state = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    state.open_ended.set()
    server.shutdown()
    server.server_close()
    thread.join()
    for worker in threading.enumerate():
        if worker.name == "flaremr-download":
            worker.join(timeout=5)


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., WeightsStore]:
    """Store of one or more entries; by default "ours" with both files and no address."""

    def make(*entries: dict[str, Any], urls: Callable[[str], list[str]] | None = None):
        addresses = urls or (lambda name: [])
        files = [file_record(name, data, addresses(name)) for name, data in CONTENT.items()]
        records = list(entries) or [entry_record("ours", files, default=True)]
        path = tmp_path / "registry" / "weights.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"schema": 1, "weights": records}), encoding="utf-8")
        return WeightsStore(
            registry=load_registry(path),
            bundled_folder=tmp_path / "bundled",
            folder=tmp_path / "Gewichte für Übung" / "wei ghts",
        )

    return make


@pytest.fixture
def quick() -> DownloadOptions:
    return DownloadOptions(connect_timeout_s=2.0, stall_timeout_s=0.4, attempts=2, backoff_s=0.02)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("this must not use the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FLAREMR_WEIGHTS_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
