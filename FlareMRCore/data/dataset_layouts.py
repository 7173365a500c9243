"""Finding images and their labels in the folder layouts in which data sets are passed on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from FlareMRCore.data.dataset_names import parse_lld, parse_sequence, split_channel, stem_of
from FlareMRCore.data.labels import organ_table
from FlareMRCore.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Found:
    """One case as the folder shows it.

    Attributes:
        part: the split that the folder stands for, if any.
        tumors: value 14 of the labels is a tumor, and not what another data set has there.
    """

    case_id: str
    patient_id: str
    modality: str
    images: Mapping[str, Path]
    label: Path | None = None
    domain: str = "source"
    label_source: str = "manual"
    part: str | None = None
    tumors: bool = False


@dataclass(frozen=True, slots=True)
class FolderRule:
    """What the images in the folders that match `pattern` are."""

    pattern: str
    modality: str
    domain: str
    part: str
    prefix: str = ""


FLARE24 = (
    FolderRule("CT/images", "CT", "source", "train"),
    FolderRule("CT/CT_image", "CT", "source", "train"),
    FolderRule("CT/CT2MR_image", "MR", "source", "train", prefix="ct2mr_"),
    FolderRule("MRI/LLD*", "MR", "target", "train"),
    FolderRule("MRI/AMOS*", "MR", "target", "train"),
    FolderRule("MR/Training/*", "MR", "target", "train"),
    FolderRule("val*/imagesVal", "MR", "target", "validate"),
    FolderRule("MR/PublicValidation/imagesVal", "MR", "target", "validate"),
)
FLARE23 = (
    FolderRule("imagesTr*", "CT", "source", "train"),
    FolderRule("unlabelTr*", "CT", "source", "train"),
    FolderRule("unlabeledTr*", "CT", "source", "train"),
    FolderRule("val*/imagesVal*", "CT", "source", "validate"),
    FolderRule("imagesVal*", "CT", "source", "validate"),
)
MANUAL_FLARE24 = re.compile(r"FLARE22_Tr_", re.IGNORECASE)
"""CT of FLARE24 with manual labels; the other labels are predictions of earlier winners."""
LABEL_ENDING = re.compile(r"(.+?)[_-](?:label\w*|seg|segmentation|mask)", re.IGNORECASE)
IMAGE_ENDING = re.compile(r"(.+?)[_-](?:0000|ct|mr|mri|image|img)", re.IGNORECASE)


def detect_layout(root: Path) -> str:
    """The layout of `root`: the first of `LAYOUTS` whose marks are there; ``"plain"`` otherwise."""
    if (root / "dataset.json").is_file() and (root / "imagesTr").is_dir():
        return "nnunet"
    if any(_folders(root, rule) for rule in FLARE24):
        return "flare24"
    if any(_folders(root, rule) for rule in FLARE23):
        return "flare23"
    if any(parse_lld(stem) for _, stem in _image_files(root)):
        return "lld"
    return "plain"


def find_flare24(root: Path, modality: str) -> Iterator[Found]:
    """Cases of FLARE24 task 3, as published or as the code of Li et al. arranges it."""
    for found in _by_rules(root, FLARE24):
        manual = found.modality == "MR" or MANUAL_FLARE24.match(found.case_id)
        yield found if manual else replace(found, label_source="predicted")


def find_flare23(root: Path, modality: str) -> Iterator[Found]:
    """Cases of FLARE23, most of them with partial labels."""
    yield from (replace(found, tumors=True) for found in _by_rules(root, FLARE23))


def find_lld(root: Path, modality: str) -> Iterator[Found]:
    """Cases of LLD-MMRI, one for each sequence; labels in a folder `labels` beside, if any."""
    rule = FolderRule("", "MR", "target", "train")
    labels = _label_folder(root) or root / "labels"
    files = [(path, stem) for path, stem in _image_files(root) if labels not in path.parents]
    yield from (replace(found, part=None) for found in _cases(files, labels, rule))


def find_nnunet(root: Path, modality: str) -> Iterator[Found]:
    """Cases of an nnU-Net data set; its `dataset.json` names channels and labels.

    Raises:
        DatasetError: no usable `dataset.json`, or labels with other numbers than FLARE's.
    """
    content = _nnunet_document(root)
    channels = content.get("channel_names") or content.get("modality") or {}
    for images, labels, part in (
        ("imagesTr", "labelsTr", "train"),
        ("imagesTs", "labelsTs", "test"),
    ):
        grouped: dict[str, dict[str, Path]] = {}
        for path, stem in _image_files(root / images):
            case, channel = split_channel(stem)
            grouped.setdefault(case, {})[str(channel or 0)] = path
        label_by_stem = {stem: path for path, stem in _image_files(root / labels)}
        for case, files in grouped.items():
            names = {_channel_name(channels, n): path for n, path in sorted(files.items())}
            kind = "CT" if "CT" in names else "MR"
            lld = parse_lld(case)
            yield Found(
                case,
                lld.patient_id if lld else case,
                kind,
                {lld.sequence if lld else name: path for name, path in names.items()},
                label_by_stem.get(case),
                part=part,
            )


def find_plain(root: Path, modality: str) -> Iterator[Found]:
    """Cases of a folder of images and labels, matched by name: `case.nii`, `case_label.nii`."""
    images: dict[str, tuple[Path, str]] = {}
    labels: dict[str, Path] = {}
    for path, stem in _image_files(root):
        match = LABEL_ENDING.fullmatch(stem)
        # The name of the data set's own folder says nothing about one file.
        among_labels = path.parent != root and "label" in path.parent.name.lower()
        if match or among_labels:
            labels[_base(match[1] if match else stem)] = path
        elif (base := _base(stem)) in images:
            raise DatasetError(
                f"'{path}' and '{images[base][0]}' would both be case '{base}'.",
                code="dataset.case",
                hint="Describe the data set in a CSV file instead.",
            )
        else:
            images[base] = (path, stem)
    labels = _matched(labels, images)
    for base, (path, stem) in images.items():
        lld = parse_lld(stem)
        kind = "MR" if lld else _modality_of(stem, modality)
        yield Found(
            lld.case_id if lld else base,
            lld.patient_id if lld else base,
            kind,
            {lld.sequence if lld else kind: path},
            labels.get(base),
            domain="source" if kind == "CT" or base in labels else "target",
        )


LAYOUTS: Mapping[str, Callable[[Path, str], Iterator[Found]]] = {
    "flare24": find_flare24,
    "flare23": find_flare23,
    "nnunet": find_nnunet,
    "lld": find_lld,
    "plain": find_plain,
}
"""Finders by layout; the second argument is the modality where names do not tell."""


def _by_rules(root: Path, rules: tuple[FolderRule, ...]) -> Iterator[Found]:
    for rule in rules:
        for folder in _folders(root, rule):
            yield from _cases(list(_image_files(folder)), _label_folder(folder), rule)


def _cases(files: list[tuple[Path, str]], labels: Path | None, rule: FolderRule) -> Iterator[Found]:
    label_by_stem = {stem: path for path, stem in _image_files(labels)} if labels else {}
    for path, stem in files:
        case = stem.removesuffix("_0000")
        lld = parse_lld(stem)
        name = lld.case_id if lld else case
        yield Found(
            rule.prefix + name,
            lld.patient_id if lld else case,
            rule.modality,
            {lld.sequence if lld else rule.modality: path},
            label_by_stem.get(case),
            domain=rule.domain,
            part=rule.part,
        )


def _folders(root: Path, rule: FolderRule) -> list[Path]:
    return [path for path in sorted(root.glob(rule.pattern)) if path.is_dir()]


def _label_folder(folder: Path) -> Path | None:
    """The folder beside `folder` whose name says label instead of image."""
    name = folder.name.replace("image", "label")
    beside = folder.with_name(name)
    return beside if name != folder.name and beside.is_dir() else None


def _image_files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        stem = stem_of(path)
        if stem is not None and path.is_file() and not path.name.startswith("."):
            yield path, stem


def _nnunet_document(root: Path) -> Mapping[str, Any]:
    path = root / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = dict(content["labels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"'{path}' does not describe an nnU-Net data set ({error}).",
            code="dataset.nnunet",
            hint="It needs 'labels' and 'channel_names'.",
        ) from error
    ids = {label.id: label.value for label in organ_table()}
    wrong = [
        f"{name} is {value}, not {ids[key]}"
        for name, value in labels.items()
        if (key := str(name).lower().replace(" ", "_")) in ids and value != ids[key]
    ]
    if wrong:
        raise DatasetError(
            f"The labels of '{path}' are not FLARE's: {'; '.join(wrong)}.",
            code="dataset.convention",
            hint="Remap the label files to FLARE's numbers first.",
        )
    checked: Mapping[str, Any] = content
    return checked


def _channel_name(channels: Mapping[str, Any], number: str) -> str:
    name = str(channels.get(number, f"channel {number}"))
    return parse_sequence(name) or name


def _matched(labels: Mapping[str, Path], images: Mapping[str, tuple[Path, str]]) -> dict[str, Path]:
    """Labels by the case of their image: the same name, or the only one that begins with it."""
    matched, orphans = {}, []
    for base, path in labels.items():
        longer = [name for name in images if name.startswith((f"{base}_", f"{base}-"))]
        names = [base] if base in images else longer
        if len(names) == 1:
            matched[names[0]] = path
        else:
            orphans.append(f"'{path}'")
    if orphans:
        raise DatasetError(
            f"No single image belongs to the label map{'s' if len(orphans) > 1 else ''} "
            f"{', '.join(orphans)}.",
            code="dataset.label",
            hint="Rename them after their images, or describe the data set in a CSV file.",
        )
    return matched


def _base(stem: str) -> str:
    match = IMAGE_ENDING.fullmatch(stem)
    return match[1] if match else stem


def _modality_of(stem: str, fallback: str) -> str:
    words = re.split(r"[_\W]+", stem.lower())
    if "ct" in words:
        return "CT"
    return "MR" if {"mr", "mri"} & set(words) else fallback
