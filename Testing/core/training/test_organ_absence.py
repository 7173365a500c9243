"""Fat in the place of organs: the organ goes, all else stays."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareMRCore.training import organ_absence
from FlareMRCore.training.contrast import SUBCUTANEOUS_FAT
from FlareMRCore.training.organ_absence import FAT_HU, Anatomy, with_fat_for_organ
from FlareMRCore.training.organ_choice import choose_organs
from FlareMRCore.training.pack import allowed_classes
from FlareMRCore.training.parameters import SamplingParameters
from FlareMRCore.training.sampling import draw_sample
from FlareMRCore.training.tissues import FAT, MUSCLE

sys.path.insert(0, str(Path(__file__).parent))
from cohort import tiny_case

SPACING_MM = 3.0


def _kidney_in_muscle(shape: tuple[int, int, int] = (40, 24, 24)) -> Anatomy:
    labels = torch.zeros(shape, dtype=torch.long)
    labels[5:35, 8:16, 8:16] = 2
    labels[:, 18:22, 4:20] = 1
    tissues = torch.where(labels > 0, labels, MUSCLE)
    return Anatomy(labels, tissues, torch.where(labels > 0, 150.0, 55.0))


def _only(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    shares = tuple(float(mode == known) for known in organ_absence.MODES)
    monkeypatch.setattr(organ_absence, "MODE_SHARES", shares)


def _without_kidney(anatomy: Anatomy, seed: int) -> Anatomy:
    rng = np.random.default_rng(seed)
    while True:
        changed = with_fat_for_organ(anatomy, SPACING_MM, rng)
        if (changed.labels != anatomy.labels)[anatomy.labels == 2].any():
            return changed


def test_a_whole_organ_becomes_fat(monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, "whole")
    before = _kidney_in_muscle()
    after = _without_kidney(before, 0)
    kidney, liver = before.labels == 2, before.labels == 1
    assert (after.labels[kidney] == SUBCUTANEOUS_FAT).all()
    assert (after.tissues[kidney] == FAT).all()
    assert float(after.hounsfield[kidney].mean()) == pytest.approx(FAT_HU, abs=3)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[liver], new[liver])


def test_unlabeled_voxels_at_its_border_become_fat_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Liver 2 voxels away must stay, muscle 2 voxels away not, and 3 voxels away again."""
    _only(monkeypatch, "whole")
    after = _without_kidney(_kidney_in_muscle(), 0)
    assert after.tissues[20, 12, 16:19].tolist() == [FAT, FAT, MUSCLE]
    assert after.tissues[20, 17:19, 12].tolist() == [FAT, 1]
    assert int(after.labels[20, 12, 16]) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_organ_keeps_one_side(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, "cut")
    before = _kidney_in_muscle()
    after = _without_kidney(before, seed)
    kidney, kept = before.labels == 2, after.labels == 2
    share = float(kept.sum() / kidney.sum())
    assert organ_absence.KEPT[0] - 0.01 <= share <= organ_absence.KEPT[1] + 0.01
    assert (kept <= kidney).all()
    gone = kidney & ~kept
    middles = [mask.nonzero().float().mean(0) * SPACING_MM for mask in (kept, gone)]
    assert float((middles[0] - middles[1]).norm()) > 9  # two sides, not scattered voxels
    assert torch.equal(after.hounsfield[kept], before.hounsfield[kept])


@pytest.mark.parametrize("fascia", [False, True])
def test_of_a_wasted_organ_the_inside_stays(fascia: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, "shell")
    monkeypatch.setattr(organ_absence, "SHELL_MM", (9.0, 9.0))
    monkeypatch.setattr(organ_absence, "FASCIA_SHARE", float(fascia))
    monkeypatch.setattr(organ_absence, "FASCIA_HU", (20.0, 20.0))
    before = _kidney_in_muscle()
    after = _without_kidney(before, 0)
    kidney, kept = before.labels == 2, after.labels == 2
    assert (kept <= kidney).all()
    assert not kept[5].any()
    assert kept[20, 12, 12]
    assert 0.1 < float(kept.sum() / kidney.sum()) < 0.7
    line, fat = after.hounsfield[20, 12, 8], after.hounsfield[20, 12, 9]
    assert float(line) == pytest.approx(20 if fascia else FAT_HU, abs=0 if fascia else 30)
    assert float(fat) == pytest.approx(FAT_HU, abs=30)
    assert (after.tissues[kidney & ~kept] == FAT).all()


def test_without_organs_nothing_changes() -> None:
    anatomy = _kidney_in_muscle()
    empty = anatomy._replace(labels=torch.zeros_like(anatomy.labels))
    after = with_fat_for_organ(empty, SPACING_MM, np.random.default_rng(0))
    assert all(torch.equal(old, new) for old, new in zip(empty, after, strict=True))


def test_kidneys_are_chosen_more_often() -> None:
    rng, found = np.random.default_rng(0), np.array([1, 2, 13], dtype=np.uint8)
    drawn = [choose_organs(found, 1, rng, often=(2, 13), weight=4.0)[0] for _ in range(900)]
    assert drawn.count(2) / drawn.count(1) == pytest.approx(4, rel=0.35)
    assert sorted(choose_organs(found, 9, rng, often=(), weight=1.0)) == [1, 2, 13]


def test_nothing_but_background_is_taught_where_an_organ_was() -> None:
    """Also where the case does not annotate the duodenum: fat is none."""
    allowed = allowed_classes((12,), {})
    assert np.flatnonzero(allowed[SUBCUTANEOUS_FAT]).tolist() == [0]


def test_samples_lose_organs_only_if_asked_and_never_in_real_mr() -> None:
    parameters = SamplingParameters(
        spacing_mm=6.0, shapes=((24, 24, 24),), shape_shares=(1.0,), elastic_mm=0, scale=0
    )
    lost = {}
    for kind, share in (("ct", 0.0), ("ct", 1.0), ("mr", 1.0)):
        asked = replace(parameters, absence_share=share)
        samples = [
            draw_sample((tiny_case(kind=kind),), asked, np.random.default_rng(seed))
            for seed in range(6)
        ]
        lost[kind, share] = sum(bool((s.labels == SUBCUTANEOUS_FAT).any()) for s in samples)
    assert lost == {("ct", 0.0): 0, ("ct", 1.0): 6, ("mr", 1.0): 0}
