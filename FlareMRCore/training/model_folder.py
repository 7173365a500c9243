"""A trained model as a folder that `segment --weights FOLDER` and `weights import` take."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from FlareMRCore.errors import UsageError
from FlareMRCore.training.checkpoint import load_checkpoint
from FlareMRCore.training.model_description import ModelDescription
from FlareMRCore.weights.models import describe_file, save_entry
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

COARSE_SPACING_MM = 4.3
FINE_SPACING_MM = 3.3
"""Where our networks did best on the validation images (Testing/benchmarks/weights.md)."""
WINDOW_SHAPE = (128, 128, 160)
"""Of fine networks: at 2.4 mm most regions of interest fit into one (307 x 307 x 384 mm)."""

ROLES = {"flaremr-coarse": "coarse", "flaremr-fine": "fine", "flaremr-wide": "fine"}


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network to export.

    Attributes:
        weights: file written by `export_state`.
        role: ``"coarse"``, ``"fine"`` or ``"tumor"``.
        spec: how it is fed; its file is named on export.
    """

    weights: Path
    role: str
    spec: NetworkSpec


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
    return write_networks(own_networks(weights, spacings_mm=spacings_mm), folder, description)


def own_networks(
    weights: tuple[Path, ...], *, spacings_mm: Mapping[str, float] | None = None
) -> tuple[TrainedNetwork, ...]:
    """FlareMR's own networks with their usual specification.

    Args:
        weights: files written by `export_state`.
        spacings_mm: isotropic spacing by network, for those trained at another than usual.

    Raises:
        UsageError: a file is not of one of FlareMR's own networks.
        WeightsError: a file is not readable.
    """
    networks = []
    for path in weights:
        builder = str(load_checkpoint(path).get("builder"))
        role = ROLES.get(builder)
        if role is None:
            raise UsageError(
                f"{path} is of network '{builder}'; expected one each of {', '.join(ROLES)}.",
                code="usage.network",
            )
        spec = own_network(builder, "", spacing_mm=(spacings_mm or {}).get(builder))
        networks.append(TrainedNetwork(path, role, spec))
    return tuple(networks)


def write_networks(
    networks: tuple[TrainedNetwork, ...],
    folder: Path,
    description: ModelDescription,
    *,
    modalities: tuple[str, ...] = ("MR",),
) -> WeightsEntry:
    """Copy the weights of any networks to `folder` and describe them in its weights.json.

    Args:
        networks: at most one per role.
        folder: created if needed; files of the same name are replaced.
        description: see `ModelDescription`.
        modalities: of the images the networks were trained on.

    Raises:
        UsageError: two networks have one role.
    """
    roles = [network.role for network in networks]
    if len(set(roles)) != len(roles):
        raise UsageError(
            f"A model has one network of each role; found {', '.join(roles)}.",
            code="usage.network",
        )
    folder.mkdir(parents=True, exist_ok=True)
    specs: dict[str, NetworkSpec] = {}
    files = []
    for network in networks:
        name = f"{description.model_id}-{network.role}.pt"
        shutil.copyfile(network.weights, folder / name)
        files.append(describe_file(folder / name))
        specs[network.role] = replace(network.spec, file=name)
    entry = WeightsEntry(
        id=description.model_id,
        version=description.version,
        title=description.title,
        description=description.description,
        license=description.license,
        license_url=description.license_url,
        open_license=description.open_license,
        files=tuple(files),
        coarse=specs.get("coarse"),
        fine=specs.get("fine"),
        tumor=specs.get("tumor"),
        modalities=modalities,
    )
    save_entry(entry, folder)
    return entry


def spacings_by_builder(
    weights: tuple[Path, ...], spacings_mm: tuple[float, ...]
) -> dict[str, float]:
    """Isotropic spacing by network for `write_model_folder`; {} if none is given.

    Raises:
        UsageError: there is not one spacing for each file.
        WeightsError: a file is not readable.
    """
    if spacings_mm and len(spacings_mm) != len(weights):
        raise UsageError(
            f"{len(weights)} files of weights, but {len(spacings_mm)} spacings.",
            code="usage.spacing",
            hint="Give one spacing for each file, in the same order.",
        )
    builders = [str(load_checkpoint(path).get("builder")) for path in weights]
    return dict(zip(builders, spacings_mm, strict=False))


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
        window_shape=None if coarse else WINDOW_SHAPE,
        margin_mm=0.0 if coarse else 30.0,
    )
