"""Bytes from a server that can be waited for without getting stuck.

The network is read in a thread of its own, because a blocked read can neither be cancelled nor
be told apart from a slow one. The caller looks at a queue several times a second instead, and
may leave at any time; the thread then ends by itself after at most one read timeout.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Full, Queue

import requests

from FlareMRCore.weights.options import DownloadOptions

POLL_S = 0.1

# Small, because a read returns only when the block is full: on a line of 2 kB/s in 8 s.
_BLOCK_BYTES = 1 << 14
_QUEUE_BLOCKS = 64
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class InterruptedTransferError(Exception):
    """The transfer broke off; another try may work."""


class RefusedTransferError(Exception):
    """This server will not give the file; another try would end the same."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered.

    Attributes:
        headers: its header lines; names in any case.
        blocks: the bytes as they come; iterating raises `InterruptedTransferError` after a cut
            or a stall.
    """

    status: int
    headers: Mapping[str, str]
    blocks: Iterator[bytes]


_Item = Response | bytes | Exception | None


@contextmanager
def open_url(
    url: str, *, offset: int, options: DownloadOptions, tick: Callable[[], None]
) -> Iterator[Response]:
    """The server's answer to a request for `url` from byte `offset` on.

    Proxies are those of the environment (HTTPS_PROXY, NO_PROXY, ...). `tick` is called several
    times a second while there is nothing to read; what it raises ends the transfer.

    Raises:
        InterruptedTransferError: no connection, a stall, or a status that asks to try again.
        RefusedTransferError: a status that is final, a certificate or proxy that does not work.
    """
    items: Queue[_Item] = Queue(_QUEUE_BLOCKS)
    left = threading.Event()
    pump = _Pump(url, offset, options, items, left)
    threading.Thread(target=pump.run, name="flaremr-download", daemon=True).start()
    try:
        head = _next(items, options, tick)
        if not isinstance(head, Response):
            raise InterruptedTransferError("no answer")
        if head.status not in {200, 206, 416}:
            raise _status_error(head.status)
        yield Response(head.status, head.headers, _blocks(items, options, tick))
    finally:
        left.set()


@dataclass(frozen=True, slots=True)
class _Pump:
    """The thread's side: reads the network and fills the queue."""

    url: str
    offset: int
    options: DownloadOptions
    items: Queue[_Item]
    left: threading.Event

    def run(self) -> None:
        """Put the response, its blocks, and None for the end or what went wrong."""
        try:
            self._read()
            self._put(None)
        except Exception as error:  # noqa: BLE001 - edge of the thread: the caller judges it
            self._put(error)

    def _read(self) -> None:
        # Without compression, so that the lengths and ranges are those of the file.
        headers = {"Accept-Encoding": "identity"}
        if self.offset:
            headers["Range"] = f"bytes={self.offset}-"
        options = self.options
        with requests.get(
            self.url,
            headers=headers,
            stream=True,
            timeout=(options.connect_timeout_s, options.stall_timeout_s),
            verify=str(options.ca_bundle) if options.ca_bundle else True,
        ) as response:
            self._put(Response(response.status_code, response.headers, iter(())))
            for block in response.iter_content(_BLOCK_BYTES):
                if not self._put(block):
                    return

    def _put(self, item: _Item) -> bool:
        """Whether somebody still wants it."""
        while not self.left.is_set():
            try:
                self.items.put(item, timeout=POLL_S)
            except Full:
                continue
            return True
        return False


def _blocks(
    items: Queue[_Item], options: DownloadOptions, tick: Callable[[], None]
) -> Iterator[bytes]:
    while True:
        item = _next(items, options, tick)
        if not isinstance(item, bytes):
            return
        yield item


def _next(items: Queue[_Item], options: DownloadOptions, tick: Callable[[], None]) -> _Item:
    """The next item, waited for no longer than a stall."""
    # The network's own timeouts come first and know more; this one catches what they miss, such
    # as a name server that does not answer.
    patience_s = options.connect_timeout_s + options.stall_timeout_s
    started_s = time.monotonic()
    while True:
        tick()
        try:
            item = items.get(timeout=POLL_S)
        except Empty:
            if time.monotonic() - started_s > patience_s:
                raise InterruptedTransferError(f"nothing came for {patience_s:.0f} s") from None
            continue
        if isinstance(item, Exception):
            raise _transfer_error(item, options) from item
        return item


def _transfer_error(error: Exception, options: DownloadOptions) -> Exception:
    """What an error of the network means here; a mistake of the program stays what it is."""
    if isinstance(error, requests.exceptions.SSLError):
        return RefusedTransferError(
            f"its certificate is not trusted ({_cause(error)}). Behind a firewall that inspects "
            "traffic, name its certificates with --ca-bundle or REQUESTS_CA_BUNDLE"
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return RefusedTransferError(
            f"the proxy does not work ({_cause(error)}). Check HTTPS_PROXY, HTTP_PROXY, NO_PROXY"
        )
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower():
        return InterruptedTransferError(f"nothing came for {options.stall_timeout_s:g} s")
    if isinstance(
        error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError
    ):
        return InterruptedTransferError(_cause(error))
    if isinstance(error, OSError):
        return RefusedTransferError(_cause(error))
    return error


def _status_error(status: int) -> Exception:
    text = f"HTTP status {status}"
    if status in {401, 403, 407}:
        return RefusedTransferError(f"{text} (access denied)")
    if status in {404, 410}:
        return RefusedTransferError(f"{text} (not found)")
    return (
        InterruptedTransferError(text) if status in _RETRIED_STATUS else RefusedTransferError(text)
    )


def _cause(error: BaseException) -> str:
    """The innermost message, in one line: the outer ones repeat it with addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
