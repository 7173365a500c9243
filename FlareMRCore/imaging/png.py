"""PNG files without an imaging package: the runtime list of the extension stays short."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.errors import UsageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """The picture (rows, columns, 3) as an 8-bit RGB PNG file.

    Raises:
        UsageError: another shape or type.

    Source: W3C Portable Network Graphics (PNG) Specification, sections 5, 9 and 11.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise UsageError(
            f"A picture is uint8 (rows, columns, 3); found {picture.dtype} {picture.shape}.",
            code="usage.picture",
        )
    rows, columns, _ = picture.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(_filtered(picture), 6)),
            _chunk(b"IEND", b""),
        )
    )


def _filtered(picture: NDArray[np.uint8]) -> bytes:
    """Rows with filter 1 (difference to the pixel on the left), which compresses images well."""
    rows, columns, _ = picture.shape
    lines = np.empty((rows, 1 + 3 * columns), dtype=np.uint8)
    lines[:, 0] = 1
    lines[:, 1:4] = picture[:, 0]
    lines[:, 4:] = np.diff(picture, axis=1).reshape(rows, -1)  # wraps modulo 256, as PNG wants
    return lines.tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
