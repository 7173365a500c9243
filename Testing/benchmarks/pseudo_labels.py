"""Labels MR with weights that agree, for a training that has no MR label.

pseudo_labels.py GROUPS.toml ... --data DATA --weights ID|PATH ... -o FOLDER
                 [--mode MODE] [--keep-labels]

Each image of the groups is segmented with all weights. A voxel keeps its label where all of them
give the same one; elsewhere it gets the value 33, which FOLDER/groups.toml allows to be any class,
so that `train pack FOLDER/groups.toml --data FOLDER` teaches nothing there. No label map beside the
images is read, unless --keep-labels says so: then the annotated organs keep their labels and only
the others get pseudo-labels, for weights that may learn from partially labeled MR.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.pipeline.engine import Engine, EngineOptions, open_engine
from FlareMRCore.pipeline.segment_case import segment_file
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.pack_sources import PackGroup, load_groups

UNKNOWN = 33
"""Value of voxels without agreement; no organ has it."""
UNANNOTATED = 32
"""Value of voxels that are no annotated organ, without agreement on the other organs."""


def main() -> None:
    """Label every image and write the groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", nargs="+", required=True)
    parser.add_argument("--mode", default="standard")
    parser.add_argument("--keep-labels", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    options = [EngineOptions(mode=arguments.mode, weights=w) for w in arguments.weights]
    engines = [open_engine(o, SilentReporter()) for o in options]
    arguments.output.mkdir(parents=True, exist_ok=True)
    groups = [g for path in arguments.groups for g in load_groups(path) if g.kind == "mr"]
    for group in groups:
        for path in sorted(arguments.data.glob(group.image)):
            truth = _annotated(path, group) if arguments.keep_labels else None
            share = _label(path, arguments.output, group, engines, truth)
            print(f"{group.name}: {path.name}, {share:.0%} of the organs' voxels agreed on")
    text = "\n".join(group_text(group) for group in groups)
    (arguments.output / "groups.toml").write_text(text, encoding="utf-8")


def _annotated(path: Path, group: PackGroup) -> LabelMap | None:
    """The label map beside an image, if its group names one."""
    if not group.label[0]:
        return None
    return read_label_map(path.with_name(path.name.replace(*group.label)))


def _label(
    path: Path,
    folder: Path,
    group: PackGroup,
    engines: list[Engine],
    truth: LabelMap | None,
) -> float:
    maps = []
    for engine in engines:
        with tempfile.TemporaryDirectory() as temporary:
            output = Path(temporary) / "labels.nii.gz"
            maps.append(segment_file(path, output, engine=engine).label_map)
    agreed = agreement([label_map.array for label_map in maps])
    if truth is not None:
        agreed = completed(truth.array, agreed, unannotated=_values(group.unannotated))
    volume = read_volume(path)
    stem = f"{group.name}-{path.name.split('.')[0]}"
    write_volume(folder / f"{stem}_mr.nii.gz", volume)
    write_volume(
        folder / f"{stem}_pseudo.nii.gz", Volume(agreed.astype(np.float32), maps[0].geometry)
    )
    found = int(np.count_nonzero(agreed))
    unknown = int(np.count_nonzero(np.isin(agreed, (UNKNOWN, UNANNOTATED))))
    return (found - unknown) / max(found, 1)


def agreement(maps: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The common label of each voxel (K, J, I); `UNKNOWN` where the maps differ."""
    same = np.all([array == maps[0] for array in maps[1:]], axis=0) if maps[1:] else True
    return np.where(same, maps[0], np.uint8(UNKNOWN))


def _values(organs: Sequence[str]) -> tuple[int, ...]:
    return tuple(organ_table().by_id(organ).value for organ in organs)


def completed(
    truth: NDArray[np.uint8], pseudo: NDArray[np.uint8], *, unannotated: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Annotated organs from `truth`, the `unannotated` ones from `pseudo`, all (K, J, I).

    `UNANNOTATED`, which may be anything but an annotated organ, where `pseudo` is unsure or claims
    an annotated organ that `truth` denies.
    """
    believed = np.isin(pseudo, (0, *unannotated))
    annotated = (truth > 0) & (truth <= len(organ_table())) & ~np.isin(truth, unannotated)
    return np.where(annotated, truth, np.where(believed, pseudo, np.uint8(UNANNOTATED)))


def group_text(group: PackGroup) -> str:
    """The group as TOML, with pseudo-labels of all organs in place of its labels."""
    everything = ["background", *(label.id for label in organ_table())]
    return "\n".join(
        (
            "[[group]]",
            f'name = "{group.name}-pseudo"',
            'kind = "mr"',
            f'image = "{group.name}-*_mr.nii.gz"',
            'label = ["_mr.nii.gz", "_pseudo.nii.gz"]',
            f"weight = {group.weight}",
            f"merged = {{ {UNKNOWN} = {json.dumps(everything)}, "
            f"{UNANNOTATED} = {json.dumps(['background', *group.unannotated])} }}",
            "",
        )
    )


if __name__ == "__main__":
    main()
