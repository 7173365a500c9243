"""File names of public data sets, in every spelling that is passed around."""

from __future__ import annotations

from pathlib import Path

import pytest

from FlareMRCore.data.dataset_names import (
    SEQUENCES,
    LldName,
    parse_lld,
    parse_sequence,
    split_channel,
    stem_of,
)

SPELLINGS = {
    "PRE": ("C-pre", "C-Pre", "PRE", "t1_pre"),
    "A": ("C+A", "C--A", "A", "arterial"),
    "V": ("C+V", "C--V", "venous"),
    "DELAY": ("C+Delay", "C--Delay", "delay"),
    "IP": ("InPhase", "In Phase", "IP", "t1_in"),
    "OP": ("OutPhase", "Out Phase", "t1_out"),
    "T2": ("T2WI", "T2", "t2_fs"),
    "DWI": ("DWI",),
}


@pytest.mark.parametrize(
    ("name", "spelled"), [(n, s) for n, all_ in SPELLINGS.items() for s in all_]
)
def test_sequences_in_any_spelling(name, spelled):
    assert parse_sequence(spelled) == name
    assert parse_lld(f"MR-391135_1_{spelled}_0000") == LldName(-391135, 1, name)
    assert parse_lld(f"MR745_-1_{spelled}") == LldName(745, -1, name)


def test_every_sequence_has_a_spelling():
    assert set(SPELLINGS) == set(SEQUENCES)


def test_a_person_is_number_and_class():
    names = [parse_lld(f"MR-391135_1_{s}_0000") for s in ("C+A", "C--A", "T2WI")]
    assert {name.patient_id for name in names if name} == {"MR-391135_1"}
    assert [name.case_id for name in names if name] == [
        "MR-391135_1_A", "MR-391135_1_A", "MR-391135_1_T2",
    ]  # fmt: skip


@pytest.mark.parametrize("stem", ["amos_0507_0000", "MR745_C-pre", "MR745_6_CT", "FLARE22_Tr_0001"])
def test_other_names_are_left_alone(stem):
    assert parse_lld(stem) is None


def test_channels_and_suffixes():
    assert split_channel("FLARE22_Tr_0001_0000") == ("FLARE22_Tr_0001", 0)
    assert split_channel("x_0002") == ("x", 2)
    assert stem_of(Path("a.b.nii.gz")) == "a.b"
    assert stem_of(Path("a.seg.nrrd")) == "a"
    assert stem_of(Path("notes.txt")) is None
