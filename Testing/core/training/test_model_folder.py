import json
from pathlib import Path

import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.errors import UsageError, WeightsError
from FlareMRCore.networks.builders import build_network
from FlareMRCore.training.checkpoint import export_state, load_checkpoint
from FlareMRCore.training.model_folder import spacings_by_builder

BUILDERS = ("flaremr-coarse", "flaremr-wide")


@pytest.fixture
def weights(tmp_path: Path) -> tuple[Path, ...]:
    paths = tuple(tmp_path / f"{builder}.pt" for builder in BUILDERS)
    for path, builder in zip(paths, BUILDERS, strict=True):
        export_state(path, build_network(builder).state_dict(), builder)
    return paths


def test_each_network_is_exported_at_its_spacing(tmp_path: Path, weights: tuple[Path, ...]) -> None:
    folder = tmp_path / "model"
    command = ["train", "export", *map(str, weights), "--spacing", "4.1", "2.9"]
    assert main([*command, "--id", "m", "--title", "M", "-o", str(folder)]) == 0
    (entry,) = json.loads((folder / "weights.json").read_text())["weights"]
    assert entry["coarse"]["spacing_mm"] == [4.1] * 3
    assert entry["fine"]["spacing_mm"] == [2.9] * 3
    assert entry["fine"]["builder"] == "flaremr-wide"


def test_without_spacings_the_usual_ones_hold(weights: tuple[Path, ...]) -> None:
    assert spacings_by_builder(weights, ()) == {}


def test_a_spacing_for_each_file_is_asked_for(weights: tuple[Path, ...]) -> None:
    with pytest.raises(UsageError, match="2 files of weights, but 1"):
        spacings_by_builder(weights, (3.0,))


@pytest.mark.parametrize("content", [b"no checkpoint", b"PK\x03\x04 a damaged archive", b""])
def test_other_files_are_no_checkpoints(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is no checkpoint of FlareMR") as caught:
        load_checkpoint(path)
    assert "weights_only" not in str(caught.value)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(tmp_path / "missing.pt")
