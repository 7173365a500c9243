"""Loading weights files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from FlareMRCore.errors import WeightsError
from FlareMRCore.inference.model import load_model
from FlareMRCore.networks.builders import build_network
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

BUILDER = "ye2023-teacher-organs"
SPEC = NetworkSpec(BUILDER, "fine.pt", (3.0, 3.0, 3.0), None, (16, 16, 16), organs=True)
ENTRY = WeightsEntry(
    "test", "1", "Test", "", "none", "", open_license=True, files=(), coarse=None, fine=SPEC
)


@pytest.fixture
def content() -> dict[str, Any]:
    state = build_network(BUILDER).state_dict()
    return {"builder": BUILDER, "state_dict": {k: v.half() for k, v in state.items()}}


def saved(content: object, folder: Path) -> dict[str, Path]:
    torch.save(content, folder / "fine.pt")
    return {"fine.pt": folder / "fine.pt"}


def test_half_precision_files_become_float32_networks_in_evaluation_mode(
    content: dict[str, Any], tmp_path: Path
) -> None:
    model = load_model(ENTRY, saved(content, tmp_path), device="cpu")
    network = model.networks["fine"]
    assert not network.training
    assert model.has("fine")
    assert not model.has("coarse")
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, content["state_dict"][name].float(), rtol=0, atol=0)
    assert not any(p.requires_grad for p in network.parameters())
    with pytest.raises(WeightsError):
        model.spec("coarse")


def test_mismatches_name_the_keys(content: dict[str, Any], tmp_path: Path) -> None:
    first = next(iter(content["state_dict"]))
    tensor = content["state_dict"].pop(first)
    second = next(iter(content["state_dict"]))
    content["state_dict"]["stranger"] = tensor
    content["state_dict"][second] = tensor[:1].flatten()[:1]
    with pytest.raises(WeightsError) as caught:
        load_model(ENTRY, saved(content, tmp_path), device="cpu")
    assert caught.value.code == "weights.mismatch"
    for part in (f"1 missing ({first})", "1 unexpected (stranger)", "1 of another shape"):
        assert part in str(caught.value)


def test_other_builders_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    content["builder"] = "he2024"
    with pytest.raises(WeightsError, match="he2024") as caught:
        load_model(ENTRY, saved(content, tmp_path), device="cpu")
    assert caught.value.code == "weights.builder"


@pytest.mark.parametrize("files", [{}, {"fine.pt": Path("nowhere.pt")}])
def test_missing_files_are_named(files: dict[str, Path]) -> None:
    with pytest.raises(WeightsError, match=r"fine\.pt") as caught:
        load_model(ENTRY, files, device="cpu")
    assert caught.value.code == "weights.missing"


@pytest.mark.parametrize("kind", ["garbage", "cut", "empty", "list"])
def test_damaged_files_are_weights_errors(
    content: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    files = saved([1, 2] if kind == "list" else content, tmp_path)
    path = files["fine.pt"]
    data = path.read_bytes()
    if kind != "list":
        path.write_bytes({"garbage": b"x" * 500, "cut": data[: len(data) // 2], "empty": b""}[kind])
    with pytest.raises(WeightsError, match=r"fine\.pt") as caught:
        load_model(ENTRY, files, device="cpu")
    assert caught.value.code == "weights.unreadable"


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def test_code_in_files_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = saved({"builder": BUILDER, "state_dict": _Bomb()}, tmp_path)
    with pytest.raises(WeightsError):
        load_model(ENTRY, files, device="cpu")
    assert not Path("exploded").exists()


def test_memory_of_a_network_of_one_shape_is_that_of_its_largest_layers(tmp_path: Path) -> None:
    """Six channels at full resolution on both sides of the finest skip: 4 bytes, six layers."""
    builder, shape = "phtrans-mini-foreground", (32, 32, 32)
    content = {"builder": builder, "state_dict": build_network(builder).state_dict()}
    spec = NetworkSpec(builder, "fine.pt", None, shape, (1, 1, 1), organs=False)
    model = load_model(replace(ENTRY, fine=spec), saved(content, tmp_path), device="cpu")
    assert model.bytes_per_vox("fine") == 6 * 6 * 4
    assert next(model.networks["fine"].parameters()).device.type == "cpu"
