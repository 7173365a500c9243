"""The diagnosis of typical troubles."""

from __future__ import annotations

from pathlib import Path

import pytest

from FlareMRCore.pipeline import doctor
from FlareMRCore.pipeline.doctor import diagnose, torch_problem
from FlareMRCore.weights.store import WeightsStore


def test_a_graphics_card_that_torch_cannot_use() -> None:
    card = "NVIDIA A100, 550.54, 40960 MiB"
    assert "built without CUDA" in torch_problem(None, False, card)
    assert "Update the NVIDIA driver" in torch_problem("12.8", False, card)
    assert torch_problem("12.8", True, card) == ""
    assert torch_problem(None, False, "") == ""


@pytest.mark.torch
def test_a_card_beside_a_torch_without_cuda_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(doctor, "nvidia_driver", lambda: "NVIDIA A100, 550.54, 40960 MiB")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    diagnosis = diagnose()
    assert any("built without CUDA" in problem for problem in diagnosis.problems)
    assert "built without CUDA" in diagnosis.as_text()


def test_a_folder_for_weights_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise doctor.FlareMRError(f"'{folder}' is read-only.")

    monkeypatch.setattr(doctor, "check_folder", refuse)
    diagnosis = diagnose(WeightsStore(folder=tmp_path))
    assert f"'{tmp_path}' is read-only." in diagnosis.problems
    assert "not writable" in diagnosis.sections["weights"]["folder"]


def test_the_package_that_aligns_images_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"SimpleITK": object()}
    monkeypatch.setattr("FlareMRCore.imaging.registration.find_spec", found.get)
    facts = diagnose().sections["registration"]
    assert facts["ants"].startswith("not installed, not used")
    assert ", used, SyN is SimpleITK affine, then" in facts["sitk"]
