"""Which files make up a training pack: groups of cases listed in a TOML file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.toml_file import read_toml
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.progress import Reporter
from FlareMRCore.training.pack import (
    CaseDescription,
    PackedCase,
    allowed_classes,
    pack_case,
    save_case,
)

KINDS = ("ct", "mr", "labels", "phantom")


@dataclass(frozen=True, slots=True)
class PackGroup:
    """Cases of one kind.

    Attributes:
        name: for messages.
        kind: ``"ct"``, ``"mr"``, ``"labels"`` (label maps without an image) or ``"phantom"``.
        image: pattern of the image files (label maps for ``"labels"``), relative to the data;
            not used for phantoms.
        seeds: of the phantoms.
        label: ending of the image's name, and what replaces it in the label map's name.
        unannotated: ids of organs these cases do not label.
        merged: label value -> ids of the organs it may be; ``"background"`` for none.
        weight: how often each case is drawn, relative to the others.
    """

    name: str
    kind: str
    image: str = ""
    seeds: tuple[int, ...] = ()
    label: tuple[str, str] = ("", "")
    unannotated: tuple[str, ...] = ()
    merged: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    weight: float = 1.0


def load_groups(path: Path) -> tuple[PackGroup, ...]:
    """The groups of a TOML file.

    Raises:
        DatasetError: the message lists every mistake.
    """
    content = read_toml(path, DatasetError, "dataset.toml")
    entries = content.get("group", [])
    problems = [p for entry in entries for p in _problems(entry)]
    if problems or not entries:
        lines = "\n".join(problems) or "there is no [[group]]"
        raise DatasetError(f"{path} is not a list of groups:\n{lines}", code="dataset.toml")
    return tuple(_group(entry) for entry in entries)


def build_pack(
    groups: tuple[PackGroup, ...],
    data: Path,
    folder: Path,
    *,
    spacing_mm: float,
    reporter: Reporter,
) -> int:
    """Write the cases of all groups to `folder`; returns how many.

    Raises:
        DatasetError: a pattern matches no file, or a label map is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    readers = [reader for group in groups for reader in _readers(group, data, spacing_mm)]
    for number, read in enumerate(readers):
        reporter.advance("pack", number, len(readers))
        save_case(read(), folder)
    return len(readers)


def _readers(group: PackGroup, data: Path, spacing_mm: float) -> Iterator[Callable[[], PackedCase]]:
    """One function per case of the group, that reads and packs it."""
    if group.kind == "phantom":
        for seed in group.seeds:
            yield partial(_phantom_case, group, seed, spacing_mm)
    else:
        for path in _files(group, data):
            yield partial(_read_case, group, path, spacing_mm)


def _phantom_case(group: PackGroup, seed: int, spacing_mm: float) -> PackedCase:
    """A phantom as CT, which the training turns into MR contrasts like any other CT."""
    volume, label_map = make_phantom(seed, "ct", geometry=phantom_geometry((spacing_mm,) * 3))
    case = CaseDescription(f"{group.name}-{seed}", "ct", allowed_classes((), {}), group.weight)
    return pack_case(case, volume, label_map, spacing_mm=spacing_mm)


def group_files(group: PackGroup, data: Path) -> tuple[Path, ...]:
    """Images and label maps of a group of files, each image before its label map.

    Raises:
        DatasetError: the pattern matches no file, or a label map is missing.
    """
    pairs = [(path, _label_path(group, path)) for path in _files(group, data)]
    return tuple(dict.fromkeys(path for pair in pairs for path in pair))


def _files(group: PackGroup, data: Path) -> list[Path]:
    paths = sorted(data.glob(group.image))
    if not paths:
        raise DatasetError(
            f"Group {group.name}: no file matches {group.image} in {data}.", code="dataset.missing"
        )
    return paths


def _label_path(group: PackGroup, path: Path) -> Path:
    if group.kind == "labels":
        return path
    ending, replacement = group.label
    label_path = path.with_name(path.name.removesuffix(ending) + replacement)
    if not label_path.is_file():
        raise DatasetError(f"{path} has no label map {label_path.name}.", code="dataset.missing")
    return label_path


def _read_case(group: PackGroup, path: Path, spacing_mm: float) -> PackedCase:
    label_path = _label_path(group, path)
    volume = None if group.kind == "labels" else read_volume(path)
    classes = {v: tuple(_class(name) for name in names) for v, names in group.merged.items()}
    allowed = allowed_classes(tuple(_class(name) for name in group.unannotated), classes)
    case_id = f"{group.name}-{path.name.split('.')[0]}"
    return pack_case(
        CaseDescription(case_id, group.kind, allowed, group.weight),
        volume,
        _read_labels(label_path),
        spacing_mm=spacing_mm,
    )


def _read_labels(path: Path) -> LabelMap:
    """Label map with values beyond the organ table, which packs use for the surroundings."""
    stored = read_volume(path)
    return LabelMap(stored.array.astype(np.uint8), stored.geometry, organ_table())


def _class(name: str) -> int:
    return 0 if name == "background" else organ_table().by_id(name).value


def _group(entry: Mapping[str, Any]) -> PackGroup:
    values = dict(entry)
    first, second = values.pop("label", ("", ""))
    merged = {int(v): tuple(names) for v, names in values.pop("merged", {}).items()}
    seeds = tuple(int(seed) for seed in values.pop("seeds", ()))
    unannotated = tuple(values.pop("unannotated", ()))
    return PackGroup(
        label=(first, second), merged=merged, seeds=seeds, unannotated=unannotated, **values
    )


def _problems(entry: Mapping[str, Any]) -> list[str]:
    name = entry.get("name", "?")
    known = set(PackGroup.__dataclass_fields__)
    problems = [f"group {name}: unknown key '{key}'" for key in entry if key not in known]
    needed = ("name", "kind", "seeds" if entry.get("kind") == "phantom" else "image")
    problems += [f"group {name}: '{key}' is missing" for key in needed if key not in entry]
    if entry.get("kind", "ct") not in KINDS:
        problems.append(f"group {name}: kind is '{entry['kind']}', not one of {', '.join(KINDS)}")
    if len(entry.get("label", ("", ""))) != 2:
        problems.append(f"group {name}: label needs two endings, the image's and the label map's")
    organs = {label.id for label in organ_table()} | {"background"}
    named = [*entry.get("unannotated", ())]
    named += [name for names in entry.get("merged", {}).values() for name in names]
    problems += [f"group {name}: there is no organ '{n}'" for n in named if n not in organs]
    return problems
