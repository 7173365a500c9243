"""Prepare what all columns of the benchmark share: one image, and weights; prints JSON."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import WeightsError
from FlareMRCore.networks.builders import build_network
from FlareMRCore.training.checkpoint import export_state
from FlareMRCore.training.model_description import ModelDescription
from FlareMRCore.training.model_folder import write_model_folder
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry, entries_as_text
from FlareMRCore.weights.store import WeightsStore

SPACING_MM = (3.0, 1.2, 1.2)
EXTENT_MM = (216.0, 312.0, 384.0)
PATCH = (96, 96, 112)
"""Window of the comparison where the weights name none."""


def write_image(path: Path) -> tuple[int, ...]:
    """A phantom of 72 x 260 x 320 voxels in whole numbers, as scanners write them."""
    geometry = phantom_geometry(SPACING_MM, extent_mm=EXTENT_MM)
    volume, _ = make_phantom(3, "venous", geometry=geometry)
    array = volume.array - volume.array.min()
    array = np.round(array * (2000.0 / array.max()))
    write_volume(path, Volume(array.astype(np.float32), geometry))
    return geometry.shape


def random_model(folder: Path) -> WeightsEntry:
    """Weights of our own networks that were never trained: as slow as trained ones."""
    torch.manual_seed(0)
    files = []
    for builder in ("flaremr-coarse", "flaremr-fine"):
        path = folder.with_name(f"{builder}.pt")
        export_state(path, build_network(builder).state_dict(), builder)
        files.append(path)
    return write_model_folder(tuple(files), folder, ModelDescription("random", "Random numbers"))


def choose(asked: str | None, folder: Path) -> tuple[str, WeightsEntry, Mapping[str, Path]]:
    """What to pass as weights, the entry, and its files."""
    store = WeightsStore()
    try:
        entry, files = store.resolve(asked)
    except WeightsError:
        if asked is not None:
            raise
        random_model(folder)
        asked = str(folder)
        entry, files = store.resolve(asked)
    return asked or entry.id, entry, files


def write_fine_only(
    entry: WeightsEntry, files: Mapping[str, Path], folder: Path
) -> tuple[NetworkSpec, Path]:
    """A model of the last network alone, with windows, as nnU-Net would run it."""
    spec = entry.fine or entry.coarse
    if spec is None:
        raise WeightsError("The weights have no network.", code="weights.stage")
    spec = replace(spec, window_shape=spec.window_shape or PATCH)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(files[spec.file], folder / spec.file)
    alone = replace(entry, id="fine-alone", files=(entry.file(spec.file),), coarse=None, fine=spec)
    (folder / "weights.json").write_text(entries_as_text([alone]), encoding="utf-8")
    return spec, folder / spec.file


def main() -> None:
    """Write everything into a folder and print where it is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    image = folder / "image_0000.nii.gz"
    shape = write_image(image)
    weights, entry, files = choose(arguments.weights, folder / "model")
    spec, state = write_fine_only(entry, files, folder / "fine-alone")
    case = {
        "image": str(image),
        "image_shape": shape,
        "image_sha256": hashlib.sha256(image.read_bytes()).hexdigest(),
        "weights": weights,
        "weights_id": f"{entry.id} {entry.version}",
        "fine_alone": str(folder / "fine-alone"),
        "builder": spec.builder,
        "state": str(state),
        "spacing_mm": spec.spacing_mm,
        "patch": spec.window_shape,
        "torch": torch.__version__,
    }
    print(json.dumps(case))


if __name__ == "__main__":
    main()
