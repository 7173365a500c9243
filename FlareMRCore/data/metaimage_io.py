"""MetaImage (.mha): writing with every digit of the grid; reading is SimpleITK's."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.image_file import FileGrid, lps_grid

COMPRESSION_LEVEL = 3


def write_metaimage(
    stream: BinaryIO, array: NDArray[np.uint8] | NDArray[np.float32], grid: FileGrid
) -> None:
    """Write `array` (K, J, I) as one .mha file; equal input gives equal bytes.

    Source: MetaIO documentation, itk.org/Wiki/ITK/MetaIO/Documentation. TransformMatrix lists
    the directions axis by axis, the transpose of ITK's row-wise direction.
    """
    lps = lps_grid(grid)
    by_axis = np.reshape(lps.direction, (3, 3)).T.ravel()
    pixels = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    content = zlib.compress(pixels.data, COMPRESSION_LEVEL)
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(content)}",
        f"TransformMatrix = {_text(by_axis.tolist())}",
        f"Offset = {_text(lps.origin)}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_text(lps.spacing_mm)}",
        f"DimSize = {' '.join(str(n) for n in reversed(array.shape))}",
        f"ElementType = {'MET_UCHAR' if array.dtype == np.uint8 else 'MET_FLOAT'}",
        "ElementDataFile = LOCAL",
    ]
    stream.write(("\n".join(lines) + "\n").encode("ascii"))
    stream.write(content)


def _text(numbers: Sequence[float]) -> str:
    return " ".join(repr(float(n)) for n in numbers)
