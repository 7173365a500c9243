"""One file from the first of its mirrors that gives it whole and unchanged."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.checking import file_problem
from FlareMRCore.weights.folders import writing
from FlareMRCore.weights.options import DownloadOptions
from FlareMRCore.weights.parts import abandoned_parts, claim_part, release_part
from FlareMRCore.weights.registry import WeightsFile
from FlareMRCore.weights.transport import (
    POLL_S,
    InterruptedTransferError,
    RefusedTransferError,
    Response,
    open_url,
)

_LONGEST_BACKOFF_S = 8.0

# An attempt that brings less than this share of the file counts as failed, so that a server
# that hands out a few bytes at a time cannot keep a download going for ever.
_WORTHWHILE_SHARE = 0.01


def download(
    file: WeightsFile,
    folder: Path,
    *,
    progress: Callable[[int], None],
    warn: Callable[[str], None],
    options: DownloadOptions,
) -> Path:
    """Path of `file` in `folder`, downloaded, or continued where an earlier call was cut.

    The file appears under its name only when its length and SHA-256 are right. Whatever ends
    the call early, the bytes received so far are kept for the next one.

    Args:
        file: what to get and from where.
        folder: where to put it; it must be there.
        options: patience and certificates.
        progress: called with the number of bytes there are, several times a second; what it
            raises (to cancel) ends the download in less than a second.
        warn: called with a sentence for each attempt that failed.

    Raises:
        WeightsError: no mirror gave the file, or it cannot be written.
    """
    with writing(folder):
        part = claim_part(folder, file)
    try:
        with writing(part):
            stream = part.open("ab", buffering=0)
        with stream:
            _fill(_Transfer(file, part, stream, progress, warn, options))
            with writing(part):
                os.fsync(stream.fileno())
        target = _install(part, folder, file)
    finally:
        _leave(part, file)
    for leftover in abandoned_parts(folder, file):
        leftover.unlink(missing_ok=True)
    return target


@dataclass(slots=True)
class _Transfer:
    """A part file while it grows. The stream is unbuffered, so a kill loses nothing."""

    file: WeightsFile
    part: Path
    stream: BinaryIO
    progress: Callable[[int], None]
    warn: Callable[[str], None]
    options: DownloadOptions

    @property
    def size(self) -> int:
        """Bytes there are."""
        return self.stream.seek(0, os.SEEK_END)

    def tick(self) -> None:
        """A chance to cancel."""
        self.progress(self.size)

    def append(self, block: bytes) -> None:
        """Write a block at the end, cut to the length of the file."""
        with writing(self.part):
            rest = memoryview(block)[: self.file.size - self.size]
            while rest:
                rest = rest[self.stream.write(rest) :]

    def restart(self) -> None:
        """Drop what there is."""
        with writing(self.part):
            self.stream.truncate(0)


def _fill(transfer: _Transfer) -> None:
    """Fill the part with the right content from any mirror."""
    reasons = []
    for url in transfer.file.urls:
        reason = _fill_from(url, transfer)
        if not reason:
            return
        transfer.warn(f"{url}: {reason}.")
        reasons.append(f"\n  {url}: {reason}.")
    raise WeightsError(
        f"Could not download {transfer.file.name} ({transfer.file.size} bytes):{''.join(reasons)}",
        code="weights.download",
        hint="\nCheck the connection and try again: what was received is kept. Or get the file on "
        "another computer and import it with 'python -m FlareMRCore weights import PATH'.",
    )


def _fill_from(url: str, transfer: _Transfer) -> str:
    """Fill the part from one mirror; why that failed, or empty."""
    options, failures, restarted = transfer.options, 0, False
    while True:
        before = transfer.size
        try:
            if before < transfer.file.size:
                _receive(url, transfer)
        except RefusedTransferError as error:
            return str(error)
        except InterruptedTransferError as error:
            gained = transfer.size - before
            failures = 0 if gained > transfer.file.size * _WORTHWHILE_SHARE else failures + 1
            if failures >= options.attempts:
                return f"{error} ({options.attempts} attempts)"
            transfer.warn(f"{url}: {error}, {transfer.size} bytes so far. Trying again.")
            _pause(transfer, options.backoff_s * 2.0 ** max(failures - 1, 0))
            continue
        problem = file_problem(transfer.part, transfer.file)
        if not problem:
            return ""
        transfer.restart()
        # What was there before may be to blame; once from the start tells.
        if before == 0 or restarted:
            return f"what it sent is not the expected file. {problem.removesuffix('.')}"
        restarted = True


def _receive(url: str, transfer: _Transfer) -> None:
    """Append what one request brings; returns when the part has its full length."""
    offset, size = transfer.size, transfer.file.size
    with open_url(url, offset=offset, options=transfer.options, tick=transfer.tick) as response:
        skip = _bytes_to_skip(response, transfer, offset)
        for block in response.blocks:
            fresh = block[skip:]
            skip = max(skip - len(block), 0)
            if fresh:
                transfer.append(fresh)
            transfer.tick()
            if transfer.size >= size:
                return
    raise InterruptedTransferError(f"the connection ended after {transfer.size} of {size} bytes")


def _bytes_to_skip(response: Response, transfer: _Transfer, offset: int) -> int:
    """How many bytes of the answer the part has already.

    Raises:
        RefusedTransferError: the server announces another length, so it has another file.
        InterruptedTransferError: the server cannot send ranges; the part was emptied.
    """
    if response.status == 416:
        if offset == 0:
            raise RefusedTransferError("HTTP status 416 (the file there is empty)")
        transfer.restart()
        raise InterruptedTransferError("HTTP status 416 (it does not send the rest of a file)")
    if response.status == 200:
        # The server ignored the range and sends all.
        _check_length(_announced_length(response.headers), transfer.file)
        return offset
    match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) > offset:
        raise RefusedTransferError("it sent another range of bytes than the one asked for")
    _check_length(None if match[2] == "*" else int(match[2]), transfer.file)
    return offset - int(match[1])


def _announced_length(headers: Mapping[str, str]) -> int | None:
    """Length of the file by the headers; None if they do not tell."""
    length = headers.get("Content-Length", "")
    if headers.get("Content-Encoding", "identity") != "identity" or not length.isdecimal():
        return None
    return int(length)


def _check_length(announced: int | None, file: WeightsFile) -> None:
    if announced not in {None, file.size}:
        raise RefusedTransferError(
            f"it announces {announced} bytes, expected {file.size}: another file, or the page of "
            "a proxy or of a login"
        )


def _pause(transfer: _Transfer, seconds: float) -> None:
    """Wait, ready to be cancelled."""
    end_s = time.monotonic() + min(seconds, _LONGEST_BACKOFF_S)
    while (left_s := end_s - time.monotonic()) > 0:
        transfer.tick()
        time.sleep(min(left_s, POLL_S))


def _install(part: Path, folder: Path, file: WeightsFile) -> Path:
    """Give the finished part its name."""
    target = folder / file.name
    with writing(target):
        try:
            part.replace(target)
        except FileNotFoundError:
            # After a long sleep of this computer another process may have taken the part over.
            if file_problem(target, file):
                raise
    return target


def _leave(part: Path, file: WeightsFile) -> None:
    try:
        release_part(part, file)
    except OSError:
        # It stays under its owner's name, and is taken over once that process has ended.
        return
