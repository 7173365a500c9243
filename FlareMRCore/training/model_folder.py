"""A trained model as a folder that `segment --weights FOLDER` and `weights import` take."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.errors import UsageError
from FlareMRCore.training.checkpoint import load_checkpoint
from FlareMRCore.weights.models import describe_file, save_entry
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

COARSE_SPACING_MM = 4.3
FINE_SPACING_MM = 3.3
"""Where our networks did best on the validation images (Testing/benchmarks/weights.md)."""

ROLES = {"flaremr-coarse": "coarse", "flaremr-fine": "fine", "flaremr-wide": "fine"}


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What people should know about a model; see `WeightsEntry`."""

    id: str
    title: str
    version: str = "1"
    description: str = ""
    license: str = "not stated"
    license_url: str = ""
    open_license: bool = False


def write_model_folder(
    weights: tuple[Path, ...],
    folder: Path,
    description: ModelDescription,
    *,
    spacings_mm: Mapping[str, float] | None = None,
) -> WeightsEntry:
    """Copy exported weights to `folder` and describe them in its weights.json.

    Args:
        weights: files written by `export_state`, at most one per role.
        folder: created if needed; files of the same name are replaced.
        description: see `ModelDescription`.
        spacings_mm: isotropic spacing by network, for those trained at another than usual.

    Raises:
        UsageError: a file is not of one of FlareMR's own networks, or two have one role.
        WeightsError: a file is not readable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    networks: dict[str, NetworkSpec] = {}
    files = []
    for path in weights:
        builder = str(load_checkpoint(path).get("builder"))
        role = ROLES.get(builder)
        if role is None or role in networks:
            raise UsageError(
                f"{path} is of network '{builder}'; expected one each of {', '.join(ROLES)}.",
                code="usage.network",
            )
        name = f"{description.id}-{role}.pt"
        shutil.copyfile(path, folder / name)
        files.append(describe_file(folder / name))
        networks[role] = own_network(builder, name, spacing_mm=(spacings_mm or {}).get(builder))
    entry = WeightsEntry(
        id=description.id,
        version=description.version,
        title=description.title,
        description=description.description,
        license=description.license,
        license_url=description.license_url,
        open_license=description.open_license,
        files=tuple(files),
        coarse=networks.get("coarse"),
        fine=networks.get("fine"),
    )
    save_entry(entry, folder)
    return entry


def own_network(builder: str, file: str, *, spacing_mm: float | None = None) -> NetworkSpec:
    """How FlareMR's own networks are fed; at their usual isotropic spacing or another one."""
    coarse = ROLES[builder] == "coarse"
    return NetworkSpec(
        builder=builder,
        file=file,
        spacing_mm=(spacing_mm or (COARSE_SPACING_MM if coarse else FINE_SPACING_MM),) * 3,
        fixed_shape=None,
        multiple_of=(16, 16, 16),
        organs=True,
        views=("zoom-0.94", "zoom-1.06"),
        window_shape=None if coarse else (96, 96, 112),
        margin_mm=0.0 if coarse else 30.0,
    )
