"""Downloads from a server that cuts, stalls, lies and serves the wrong thing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from FlareMRCore.errors import Cancelled, WeightsError
from FlareMRCore.progress import SilentReporter
from FlareMRCore.weights import store as store_module
from FlareMRCore.weights.options import DownloadOptions
from Testing.core.weights.cases import CONTENT, Mirror, put, send

REPOSITORY = Path(__file__).resolve().parents[3]
COARSE = CONTENT["coarse.pt"]

CHILD = """
import sys
from pathlib import Path
from FlareMRCore.progress import SilentReporter
from FlareMRCore.weights.registry import load_registry
from FlareMRCore.weights.store import WeightsStore
registry, bundled, folder = map(Path, sys.argv[1:])
store = WeightsStore(registry=load_registry(registry), bundled_folder=bundled, folder=folder)
store.fetch("ours", SilentReporter())
"""


class Recorder:
    """A reporter that keeps the numbers, and cancels when told."""

    def __init__(self, cancel_after_s: float = 1e9) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.messages: list[str] = []
        self.cancel_at_s = time.monotonic() + cancel_after_s

    def advance(self, stage: str, done: int, total: int) -> None:
        self.steps.append((stage, done, total))
        if time.monotonic() > self.cancel_at_s:
            raise Cancelled

    def message(self, text: str, *, level: str = "info") -> None:
        self.messages.append(f"{level}: {text}")


def urls_in(mirror: Mirror, *folders: str):
    return lambda name: [mirror.url(name, folder) for folder in folders]


def contents(paths: Any) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in paths.items()}


def start_child(store: Any, tmp_path: Path) -> subprocess.Popen[bytes]:
    places = [tmp_path / "registry" / "weights.json", store.bundled_folder, store.folder]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, places)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def test_fetch_brings_every_file_and_reports_bytes(mirror: Mirror, make_store, quick) -> None:
    store, reporter = make_store(urls=urls_in(mirror, "good")), Recorder()
    assert contents(store.fetch("ours", reporter, options=quick)) == CONTENT
    done = [step[1] for step in reporter.steps]
    assert {step[::2] for step in reporter.steps} == {("download", sum(map(len, CONTENT.values())))}
    assert done == sorted(done)
    assert done[-1] == sum(map(len, CONTENT.values()))
    assert sorted(path.name for path in store.install_folder(store.entry("ours")).iterdir()) == [
        "coarse.pt", "fine.pt", "weights.json"
    ]  # fmt: skip
    assert reporter.messages == []


def test_what_is_here_is_not_fetched_again(mirror: Mirror, make_store, quick) -> None:
    store = make_store(urls=urls_in(mirror, "good"))
    put(store.bundled_folder / "ours", ("coarse.pt",))
    store.fetch("ours", SilentReporter(), options=quick)
    store.fetch("ours", SilentReporter(), options=quick)
    assert [path for path, _ in mirror.requests] == ["/good/fine.pt"]


def test_a_damaged_file_is_replaced(mirror: Mirror, make_store, quick) -> None:
    store = make_store(urls=urls_in(mirror, "good"))
    folder = put(store.install_folder(store.entry("ours")))
    (folder / "fine.pt").write_bytes(b"x" * len(CONTENT["fine.pt"]))
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT
    assert [path for path, _ in mirror.requests] == ["/good/fine.pt"]


def test_cut_transfers_go_on_where_they_ended(mirror: Mirror, make_store, quick) -> None:
    mirror.answers["cut"] = partial(send, stop_after=40_000)
    store, reporter = make_store(urls=urls_in(mirror, "cut")), Recorder()
    assert contents(store.fetch("ours", reporter, options=quick)) == CONTENT
    # Whole blocks of 16 KiB are kept.
    assert mirror.requests[:3] == [
        ("/cut/coarse.pt", ""),
        ("/cut/coarse.pt", "bytes=32768-"),
        ("/cut/coarse.pt", "bytes=65536-"),
    ]
    assert "32768 bytes so far" in reporter.messages[0]


def test_a_server_that_ignores_ranges_costs_only_time(mirror: Mirror, make_store, quick) -> None:
    def answer(handler: Any, content: bytes, offset: int) -> None:
        first = len(mirror.requests) % 2 == 1
        send(handler, content, offset, ignore_range=True, stop_after=60_000 if first else 10**9)

    mirror.answers["plain"] = answer
    store = make_store(urls=urls_in(mirror, "plain"))
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT
    assert mirror.requests[1] == ("/plain/coarse.pt", "bytes=49152-")


def test_a_stall_ends_and_the_next_mirror_goes_on(mirror: Mirror, make_store, quick) -> None:
    def stall(handler: Any, content: bytes, offset: int) -> None:
        sent = 0 if offset else 20_000
        send(handler, content, offset, length=len(content) - offset, stop_after=sent)
        mirror.open_ended.wait(5)

    mirror.answers["stall"] = stall
    store, reporter = make_store(urls=urls_in(mirror, "stall", "good")), Recorder()
    one_try = DownloadOptions(connect_timeout_s=1, stall_timeout_s=0.3, attempts=1, backoff_s=0.01)
    assert contents(store.fetch("ours", reporter, options=one_try)) == CONTENT
    assert any("nothing came for 0.3 s" in text for text in reporter.messages)
    resumed = [wanted for path, wanted in mirror.requests if path == "/good/coarse.pt"]
    assert resumed == ["bytes=16384-"]  # whole blocks of what the first mirror sent


@pytest.mark.parametrize("length", [len(COARSE) - 7, len(COARSE) + 7, 12])
def test_a_false_length_is_refused_at_once(mirror: Mirror, make_store, quick, length: int) -> None:
    mirror.answers["liar"] = lambda handler, content, offset: send(
        handler, content, offset, length=length
    )
    store, reporter = make_store(urls=urls_in(mirror, "liar", "good")), Recorder()
    assert contents(store.fetch("ours", reporter, options=quick)) == CONTENT
    assert f"announces {length} bytes, expected {len(COARSE)}" in reporter.messages[0]
    assert [path for path, _ in mirror.requests].count("/liar/coarse.pt") == 1


def test_no_length_is_fine(mirror: Mirror, make_store, quick) -> None:
    mirror.answers["mute"] = partial(send, length=None)
    store = make_store(urls=urls_in(mirror, "mute"))
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT


def test_a_wrong_content_never_gets_the_name(mirror: Mirror, make_store, quick) -> None:
    mirror.answers["wrong"] = lambda handler, content, offset: send(
        handler, bytes(len(content)), offset
    )
    store = make_store(urls=urls_in(mirror, "wrong"))
    with pytest.raises(WeightsError, match="not the expected file") as caught:
        store.fetch("ours", SilentReporter(), options=quick)
    text = str(caught.value)
    assert store.entry("ours").file("coarse.pt").sha256 in text
    assert "weights import" in text
    assert caught.value.code == "weights.download"
    assert list(store.install_folder(store.entry("ours")).iterdir()) == []


def test_a_poisoned_part_is_given_up(mirror: Mirror, make_store, quick) -> None:
    mirror.answers["wrong"] = lambda handler, content, offset: send(
        handler, bytes(len(content)), offset, stop_after=50_000
    )
    store = make_store(urls=urls_in(mirror, "wrong", "good"))
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT


def test_not_found_goes_to_the_next_mirror(mirror: Mirror, make_store, quick) -> None:
    mirror.answers["gone"] = lambda handler, content, offset: handler.send_error(404)
    store, reporter = make_store(urls=urls_in(mirror, "gone", "good")), Recorder()
    assert contents(store.fetch("ours", reporter, options=quick)) == CONTENT
    assert [path for path, _ in mirror.requests][:2] == ["/gone/coarse.pt", "/good/coarse.pt"]
    assert "404" in reporter.messages[0]


def test_a_busy_server_is_asked_again(mirror: Mirror, make_store, quick) -> None:
    def busy_once(handler: Any, content: bytes, offset: int) -> None:
        if len(mirror.requests) == 1:
            handler.send_error(503)
        else:
            send(handler, content, offset)

    mirror.answers["busy"] = busy_once
    store = make_store(urls=urls_in(mirror, "busy"))
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT


def test_a_range_error_starts_over(mirror: Mirror, make_store, quick) -> None:
    def no_rest(handler: Any, content: bytes, offset: int) -> None:
        if offset:
            handler.send_error(416)
        else:
            send(handler, content, stop_after=10_000 if len(mirror.requests) == 1 else 10**9)

    mirror.answers["odd"] = no_rest
    store = make_store(urls=urls_in(mirror, "odd"))
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT


def test_no_server_names_every_mirror(make_store, quick) -> None:
    addresses = ["http://127.0.0.1:9/a.pt", "http://127.0.0.1:9/b.pt"]
    store = make_store(urls=lambda name: addresses)
    with pytest.raises(WeightsError) as caught:
        store.fetch("ours", SilentReporter(), options=quick)
    assert all(url in str(caught.value) for url in addresses)
    assert "refused" in str(caught.value)


def test_a_broken_proxy_is_named(make_store, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    store = make_store(urls=lambda name: ["http://weights.invalid/a.pt"])
    with pytest.raises(WeightsError, match="the proxy does not work"):
        store.fetch("ours", SilentReporter(), options=quick)


def test_a_proxy_is_used(mirror: Mirror, make_store, quick, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", mirror.address)
    store = make_store(urls=lambda name: [f"http://weights.invalid/good/{name}"])
    with pytest.raises(WeightsError):
        store.fetch("ours", SilentReporter(), options=quick)
    assert mirror.requests[0][0] == "http://weights.invalid/good/coarse.pt"


def test_certificates_of_ones_own_are_used(make_store, tmp_path, monkeypatch) -> None:
    missing = tmp_path / "company.pem"
    store = make_store(urls=lambda name: ["https://127.0.0.1:9/a.pt"])
    with pytest.raises(WeightsError, match=r"company\.pem"):
        store.fetch("ours", SilentReporter(), options=DownloadOptions(ca_bundle=missing))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    with pytest.raises(WeightsError, match=r"other\.pem"):
        store.fetch("ours", SilentReporter())


@pytest.mark.parametrize("silent", ["before", "amid"])
def test_cancel_takes_less_than_a_second_and_keeps_the_part(
    mirror: Mirror, make_store, silent: str
) -> None:
    def stall(handler: Any, content: bytes, offset: int) -> None:
        if silent == "amid":
            send(handler, content, offset, length=len(content), stop_after=20_000)
        mirror.open_ended.wait(10)

    mirror.answers["stall"] = stall
    store = make_store(urls=urls_in(mirror, "stall"))
    started = time.monotonic()
    with pytest.raises(Cancelled):
        store.fetch("ours", Recorder(cancel_after_s=0.3))
    assert time.monotonic() - started < 1.0
    parts = list(store.install_folder(store.entry("ours")).iterdir())
    assert [path.stat().st_size for path in parts] == ([16_384] if silent == "amid" else [])
    mirror.answers["stall"] = send
    mirror.open_ended.set()
    assert contents(store.fetch("ours", SilentReporter())) == CONTENT
    assert mirror.requests[1][1] == ("bytes=16384-" if silent == "amid" else "")


def test_a_killed_download_goes_on(mirror: Mirror, make_store, quick, tmp_path: Path) -> None:
    mirror.answers["slow"] = partial(send, pause_s=0.05)
    store = make_store(urls=urls_in(mirror, "slow"))
    child = start_child(store, tmp_path)
    folder = store.install_folder(store.entry("ours"))
    deadline = time.monotonic() + 15
    while not any(path.stat().st_size > 30_000 for path in folder.glob("*.part")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    child.wait()
    (part,) = folder.glob("*.part")
    received = part.stat().st_size
    assert not (folder / "coarse.pt").exists()
    mirror.answers["slow"] = send
    before = len(mirror.requests)
    assert contents(store.fetch("ours", SilentReporter(), options=quick)) == CONTENT
    assert mirror.requests[before] == ("/slow/coarse.pt", f"bytes={received}-")
    assert list(folder.glob("*.part")) == []


def test_two_processes_at_once(mirror: Mirror, make_store, tmp_path: Path) -> None:
    mirror.answers["slow"] = partial(send, pause_s=0.005)
    store = make_store(urls=urls_in(mirror, "slow"))
    children = [start_child(store, tmp_path) for _ in range(2)]
    assert [child.wait(timeout=20) for child in children] == [0, 0]
    assert contents(store.locate("ours")) == CONTENT
    assert list(store.install_folder(store.entry("ours")).glob("*.part")) == []


def test_two_threads_at_once(mirror: Mirror, make_store, quick) -> None:
    mirror.answers["slow"] = partial(send, pause_s=0.002)
    store = make_store(urls=urls_in(mirror, "slow"))
    results: list[dict[str, bytes]] = []

    def fetch() -> None:
        results.append(contents(store.fetch("ours", SilentReporter(), options=quick)))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 3


def test_a_full_disk_is_noticed_before_the_download(
    mirror: Mirror, make_store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda path: usage)
    store = make_store(urls=urls_in(mirror, "good"))
    with pytest.raises(WeightsError, match=r"need 16 MiB .* only 1 MiB are free") as caught:
        store.fetch("ours", SilentReporter())
    assert caught.value.code == "weights.disk"
    assert mirror.requests == []


def test_a_folder_that_cannot_be_written_is_named(
    mirror: Mirror, make_store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(self: Path, *arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    store = make_store(urls=urls_in(mirror, "good"))
    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(WeightsError, match=r"No permission to write .*FLAREMR_WEIGHTS_DIR"):
        store.fetch("ours", SilentReporter())
    assert mirror.requests == []


def test_files_without_address_cannot_be_fetched(make_store, no_network: None) -> None:
    with pytest.raises(WeightsError, match="no address is known") as caught:
        make_store().fetch("ours", SilentReporter())
    assert caught.value.code == "weights.no-url"
