"""Writing an image for the child process: NRRD, uncompressed, every number to the last bit."""

from pathlib import Path

import numpy as np

TYPES = {
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "float32": "float",
    "float64": "double",
}
"""NRRD's name of each pixel type; wider integers become double."""


def writeNrrd(path: Path, array: np.ndarray, ijkToRas: np.ndarray) -> None:
    """Write `array` (K, J, I) whose voxel (i, j, k) lies at `ijkToRas` @ (i, j, k, 1), RAS mm.

    NRRD instead of NIfTI, because NIfTI has two places for the geometry that may disagree.
    """
    pixels = array if array.dtype.name in TYPES else array.astype(np.float64)
    pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    toLps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToRas
    lines = [
        "NRRD0004",
        f"type: {TYPES[pixels.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in reversed(pixels.shape)),
        "space directions: " + " ".join(_vector(toLps[:3, axis]) for axis in range(3)),
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: {_vector(toLps[:3, 3])}",
    ]
    with path.open("wb") as stream:
        stream.write(("\n".join(lines) + "\n\n").encode("ascii"))
        stream.write(pixels.data)


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(repr(float(n)) for n in numbers) + ")"
