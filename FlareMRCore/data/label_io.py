"""Reading and writing label maps; what the values mean travels with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_atomically, write_text_atomically
from FlareMRCore.data.image_file import FileGrid
from FlareMRCore.data.labels import Code, LabelTable, organ_table
from FlareMRCore.data.nrrd_io import read_fields, write_nrrd
from FlareMRCore.data.segment_fields import segment_fields, stored_segments
from FlareMRCore.data.sitk_io import open_segmentation_grid, read_layers
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import (
    WRITABLE,
    check_suffix,
    grid_for,
    load_frame,
    open_image,
    write_array,
)
from FlareMRCore.errors import InputError, VolumeFormatError

SEGMENTATION_SUFFIX = ".seg.nrrd"
SIDECAR_SUFFIX = ".labels.json"
SIDECAR_FORMAT = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class LabelReadResult:
    """A label map, the grid of its file, and what had to be decided."""

    label_map: LabelMap
    grid: FileGrid
    warnings: tuple[str, ...]


def read_label_map(path: Path | str, labels: LabelTable | None = None) -> LabelMap:
    """The label map at `path`; warnings go to the log. See `read_labels_with_warnings`."""
    result = read_labels_with_warnings(path, labels)
    for warning in result.warnings:
        logger.warning("%s: %s", path, warning)
    return result.label_map


def read_labels_with_warnings(
    path: Path | str, labels: LabelTable | None = None
) -> LabelReadResult:
    """The label map at `path` with the values of `labels` (the 13 organs if not given).

    Files that say what their values mean (.seg.nrrd, or a labels JSON beside the file) are
    matched by identity, never by number: a structure that `labels` lacks becomes background
    and is reported. Values of other files are kept as they are, also those `labels` lacks.

    Raises:
        InputError: as `read_with_warnings`, or values that are not whole numbers from 0 to 255.
    """
    path, table = Path(path), labels if labels is not None else organ_table()
    if path.name.lower().endswith(SEGMENTATION_SUFFIX) and path.is_file():
        return _read_segmentation(path, table)
    image = open_image(path)
    values = _whole_numbers(path, load_frame(image, 0))
    names = _read_sidecar(path)
    warnings = image.warnings
    if image.frames > 1:
        warnings += (f"The file has {image.frames} frames; the first is used.",)
    if names is not None:
        values, dropped = _matched([values], [(0, v, (n,)) for n, v in names.items()], table)
        warnings += dropped
    return LabelReadResult(LabelMap(values, image.grid.geometry, table), image.grid, warnings)


def write_label_map(
    path: Path | str, label_map: LabelMap, *, like: FileGrid | None = None
) -> tuple[Path, ...]:
    """Write `label_map` atomically and return the files written, the label map first.

    `.seg.nrrd` holds names, colors and terminology itself; `.nii.gz`, `.nii`, `.nrrd` and
    `.mha` get a labels JSON beside them (`sidecar_path`), which is written first.

    Args:
        path: target, replaced if it exists.
        label_map: labels.
        like: grid of the image's file (`ReadResult.grid`), repeated to the last bit.

    Raises:
        UsageError: unknown suffix, or a target that cannot be written.
        GeometryError: `like` is another grid than that of `label_map`.
    """
    path = Path(path)
    if path.name.lower().endswith(SEGMENTATION_SUFFIX):
        grid = grid_for(label_map, like, path)
        fields = segment_fields(label_map.labels, label_map.geometry.shape)

        def write(stream: BinaryIO) -> None:
            write_nrrd(stream, label_map.array, grid, fields)

        write_atomically(path, write)
        return (path,)
    check_suffix(path)
    grid_for(label_map, like, path)
    sidecar = sidecar_path(path)
    content = json.dumps(labels_document(label_map.labels), indent=2, ensure_ascii=False)
    write_text_atomically(sidecar, content + "\n")
    write_array(path, label_map, like)
    return path, sidecar


def sidecar_path(path: Path) -> Path:
    """Where the labels JSON of a label map lies: ``case.nii.gz`` has ``case.labels.json``."""
    stem = path.name
    for suffix in WRITABLE:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    return path.with_name(stem + SIDECAR_SUFFIX)


def labels_document(labels: LabelTable) -> dict[str, Any]:
    """Content of the labels JSON: value, id, name, RGB color and codes of every label."""
    return {
        "format": SIDECAR_FORMAT,
        "labels": [
            {
                "value": label.value,
                "id": label.id,
                "name": label.name,
                "color": list(label.color),
                "type": _code(label.type_code),
                "modifier": _code(label.modifier_code) if label.modifier_code else None,
            }
            for label in labels
        ],
    }


def _code(code: Code) -> dict[str, str]:
    return {"scheme": code.scheme, "value": code.value, "meaning": code.meaning}


def _read_segmentation(path: Path, table: LabelTable) -> LabelReadResult:
    segments = stored_segments(read_fields(path))
    grid = open_segmentation_grid(path)
    layers = [_whole_numbers(path, layer) for layer in read_layers(path)]
    entries = [(segment.layer, segment.value, segment.names) for segment in segments]
    if any(not 0 <= layer < len(layers) for layer, _, _ in entries):
        raise VolumeFormatError(
            f"'{path}' lists segments in layers it does not have.",
            code="input.unreadable",
            hint="Save the segmentation again.",
        )
    array, warnings = _matched(layers, entries, table)
    return LabelReadResult(LabelMap(array, grid.geometry, table), grid, warnings)


def _matched(
    layers: list[NDArray[np.uint8]],
    entries: Iterable[tuple[int, int, tuple[str, ...]]],
    table: LabelTable,
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """One label map from entries (layer, value, names); later layers lie on top."""
    known = {_key(name): label.value for label in table for name in (label.id, label.name)}
    lookups = [np.zeros(256, np.uint8) for _ in layers]
    dropped = []
    described = [{0} for _ in layers]
    for layer, value, names in entries:
        described[layer].add(value)
        target = next((known[_key(name)] for name in names if _key(name) in known), 0)
        if target:
            lookups[layer][value] = target
        else:
            dropped.append(names[-1] if names else str(value))
    for values, named in zip(layers, described, strict=True):
        dropped += [f"value {v}" for v in np.unique(values).tolist() if v not in named]
    result = lookups[0][layers[0]]
    for lookup, layer_values in zip(lookups[1:], layers[1:], strict=True):
        above = lookup[layer_values]
        result = np.where(above > 0, above, result)
    if not dropped:
        return result, ()
    return result, (f"These structures are unknown and became background: {', '.join(dropped)}.",)


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _whole_numbers(path: Path, array: NDArray[np.float32]) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore"):
        values = array.astype(np.uint8)
    if not np.array_equal(values, array):
        raise InputError(
            f"'{path}' is no label map: it has values that are not whole numbers from 0 to 255 "
            f"(found {float(array.min()):g} to {float(array.max()):g}).",
            code="input.not-labels",
            hint="Give a label map; probabilities and intensities are not labels.",
        )
    return values


def _read_sidecar(path: Path) -> Mapping[str, int] | None:
    """Value of each label id in the labels JSON of `path`; None without such a file."""
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return None
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        values = {str(entry["id"]): int(entry["value"]) for entry in content["labels"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{sidecar}' is not a labels file ({error}).",
            code="input.labels-file",
            hint="Remove it to take the values of the label map as they are.",
        ) from error
    if any(not 0 <= value <= 255 for value in values.values()):
        raise InputError(
            f"'{sidecar}' has values outside of 0 to 255.",
            code="input.labels-file",
            hint="Correct them.",
        )
    return values
