"""Images for a translator, kept in one file per domain so that large cohorts need no memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_text_atomically

Images = tuple[NDArray[np.float32], ...]


def stored_images(volumes: Iterable[NDArray[np.float32]], file: Path, *, axes: int) -> Images:
    """The volumes (K, J, I), or with two `axes` their slices (J, I), as views of `file`.

    The file is written once: where it is complete, `volumes` is not looked at. Processes that
    train together may all write it, each to a file of its own first.

    Args:
        volumes: float32, made one after the other.
        file: receives the values; its list of shapes lies beside it.
        axes: 2 or 3.
    """
    listing = file.with_suffix(".json")
    if not listing.is_file():
        shapes = []
        own = file.with_suffix(f".{os.getpid()}")
        with own.open("wb") as stream:
            for volume in volumes:
                np.ascontiguousarray(volume, dtype=np.float32).tofile(stream)
                shapes.append(volume.shape)
        own.replace(file)
        write_text_atomically(listing, json.dumps(shapes))
    flat = np.memmap(file, dtype=np.float32, mode="r")
    found: list[NDArray[np.float32]] = []
    first = 0
    for shape in json.loads(listing.read_text(encoding="utf-8")):
        count = int(np.prod(shape))
        volume = flat[first : first + count].reshape(shape)
        found += [volume] if axes == 3 else list(volume)
        first += count
    return tuple(found)
