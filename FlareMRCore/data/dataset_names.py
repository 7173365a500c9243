"""What file names of public data sets say: case, channel, patient, sequence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.data.volume_io import IMAGE_SUFFIXES

SEQUENCES = ("PRE", "A", "V", "DELAY", "IP", "OP", "T2", "DWI")
"""T1 before contrast, arterial, venous, delayed; in and opposed phase; T2; diffusion."""

_SPELLINGS = {
    "cpre": "PRE", "ca": "A", "cv": "V", "cdelay": "DELAY", "inphase": "IP", "outphase": "OP",
    "oppphase": "OP", "t2wi": "T2", "t2fs": "T2", "arterial": "A", "venous": "V", "t1pre": "PRE",
    "t1in": "IP", "t1out": "OP",
} | {name.lower(): name for name in SEQUENCES}  # fmt: skip
_LLD = re.compile(r"MR(-?\d+)_(-?\d+)_(.+)", re.IGNORECASE)
_CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True, slots=True)
class LldName:
    """A file of LLD-MMRI: patient number (may be negative), lesion class (-1: hidden), sequence."""

    patient: int
    category: int
    sequence: str

    @property
    def patient_id(self) -> str:
        """Number and class together, which name the person."""
        return f"MR{self.patient}_{self.category}"

    @property
    def case_id(self) -> str:
        """The same for every spelling of the sequence."""
        return f"{self.patient_id}_{self.sequence}"


def parse_sequence(text: str) -> str | None:
    """One of `SEQUENCES`, from any spelling in the wild; None if it is none.

    >>> [parse_sequence(text) for text in ("C+A", "C--A", "In Phase", "T2WI", "CT")]
    ['A', 'A', 'IP', 'T2', None]
    """
    return _SPELLINGS.get(re.sub(r"[\s+_-]", "", text).lower())


def parse_lld(stem: str) -> LldName | None:
    """What the name of an LLD-MMRI file says, channel number or not; None for other names.

    >>> parse_lld("MR-391135_1_C--Delay_0000")
    LldName(patient=-391135, category=1, sequence='DELAY')
    """
    case, _ = split_channel(stem)
    match = _LLD.fullmatch(case)
    sequence = parse_sequence(match[3]) if match else None
    if match is None or sequence is None:
        return None
    return LldName(int(match[1]), int(match[2]), sequence)


def split_channel(stem: str) -> tuple[str, int | None]:
    """Case and number of the channel of an nnU-Net name; None without one.

    >>> split_channel("amos_0507_0000"), split_channel("amos_0507")
    (('amos_0507', 0), ('amos', 507))
    >>> split_channel("liver")
    ('liver', None)
    """
    match = _CHANNEL.fullmatch(stem)
    return (match[1], int(match[2])) if match else (stem, None)


def stem_of(path: Path) -> str | None:
    """File name without the suffix of an image; None for files that are no images."""
    name = path.name
    for suffix in (".seg.nrrd", *IMAGE_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return None
