"""NRRD: the header as text, for the grid to the last bit, segment fields, and writing.

Source: G. Kindlmann, Definition of NRRD File Format, teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import FloatArray
from FlareMRCore.data.image_file import LPS, FileGrid

GZIP_LEVEL = 3
HEADER_LIMIT = 4_000_000
"""Bytes after which a header without an end is given up."""

_TO_RAS = {
    "left-posterior-superior": LPS,
    "lps": LPS,
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
}
_VECTOR = re.compile(r"none|\(([^)]*)\)")


def read_fields(path: Path) -> dict[str, str]:
    """Fields (``"key: value"``) and custom values (``"key:=value"``) of the header by key."""
    with path.open("rb") as stream:
        head = stream.read(HEADER_LIMIT)
    end = min(
        (n for n in (head.find(b"\n\n"), head.find(b"\r\n\r\n")) if n >= 0), default=len(head)
    )
    fields: dict[str, str] = {}
    for line in head[:end].decode("utf-8", errors="replace").splitlines()[1:]:
        key, separator, value = line.partition(":=")
        if not separator:
            key, separator, value = line.partition(": ")
        if separator and not key.startswith("#"):
            fields[key.strip()] = value.strip()
    return fields


def stored_affine(fields: Mapping[str, str]) -> FloatArray | None:
    """Matrix from (k, j, i, 1) to RAS mm with the very numbers of the header; None if unclear."""
    to_ras = _TO_RAS.get(fields.get("space", "").lower())
    directions = [match.group(1) for match in _VECTOR.finditer(fields.get("space directions", ""))]
    spatial = [vector for vector in directions if vector is not None]
    origin = _VECTOR.match(fields.get("space origin", ""))
    if to_ras is None or origin is None or origin.group(1) is None or len(spatial) != 3:
        return None
    try:
        columns = [[float(n) for n in vector.split(",")] for vector in reversed(spatial)]
        offset = [float(n) for n in origin.group(1).split(",")]
        matrix = np.eye(4)
        matrix[:3] = np.array([*columns, offset]).T
    except ValueError:
        return None
    return np.asarray(to_ras @ matrix)


def write_nrrd(
    stream: BinaryIO,
    array: NDArray[np.uint8] | NDArray[np.float32],
    grid: FileGrid,
    custom: Mapping[str, str] | None = None,
) -> None:
    """Write `array` (K, J, I) with the `custom` values; equal input gives equal bytes."""
    matrix = LPS @ grid.affine
    k, j, i = array.shape
    lines = [
        "NRRD0004",
        f"type: {'unsigned char' if array.dtype == np.uint8 else 'float'}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {i} {j} {k}",
        f"space directions: {' '.join(_text(matrix[:3, axis]) for axis in (2, 1, 0))}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_text(matrix[:3, 3])}",
        *(f"{key}:={value}" for key, value in (custom or {}).items()),
    ]
    stream.write(("\n".join(lines) + "\n\n").encode("utf-8"))
    pixels = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    with gzip.GzipFile("", "wb", GZIP_LEVEL, stream, mtime=0) as compressed:
        compressed.write(pixels.data)


def _text(vector: FloatArray) -> str:
    """The vector with the shortest decimals that give back every bit."""
    return f"({','.join(repr(float(n)) for n in vector)})"
