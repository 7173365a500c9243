"""Weights held ready: networks built, filled and on their device."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from FlareMRCore.errors import WeightsError, reason_of
from FlareMRCore.inference.device import DeviceChoice, pick_device
from FlareMRCore.inference.memory import network_bytes_per_vox
from FlareMRCore.inference.precision import Precision, choose_precision, probe_of
from FlareMRCore.networks.builders import NETWORKS
from FlareMRCore.networks.slicewise import SliceWise
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

COARSE = "coarse"
FINE = "fine"
TUMOR = "tumor"
SHOWN_KEYS = 5
PLANE_AXES = 3
"""Channels and two spatial axes: the input of a 2-D network."""


@dataclass(slots=True, eq=False)
class LoadedModel:
    """Networks of one weights entry, in evaluation mode.

    Attributes:
        entry: the weights they came from.
        networks: by stage, ``"coarse"``, ``"fine"`` and ``"tumor"``; at least one of them.
        device: where they are, and why.
    """

    entry: WeightsEntry
    networks: dict[str, nn.Module]
    device: DeviceChoice
    _precisions: dict[tuple[str, str], Precision] = field(default_factory=dict)
    _bytes_per_vox: dict[str, float] = field(default_factory=dict)

    def has(self, stage: str) -> bool:
        """True if there is a network for `stage`."""
        return stage in self.networks

    def spec(self, stage: str) -> NetworkSpec:
        """How the network of `stage` is fed.

        Raises:
            WeightsError: the weights have no such network.
        """
        spec = _specs(self.entry)[stage]
        if spec is None or stage not in self.networks:
            raise WeightsError(
                f"Weights '{self.entry.id}' have no {stage} network.", code="weights.stage"
            )
        return spec

    def precision(self, stage: str, x: Tensor, device: str, *, allow_half: bool) -> Precision:
        """Number format of one network, checked on the first input and remembered.

        Args:
            stage: which network; it must be on `device`.
            x: padded input (1, 1, K, J, I) on any device.
            device: name of the device.
            allow_half: False for float32 in any case.
        """
        if not allow_half:
            return Precision("float32", "asked for")
        key = (stage, device)
        if key not in self._precisions:
            spec = self.spec(stage)
            if spec.fixed_shape is not None:
                k, j, i = spec.fixed_shape
                x = x[..., :k, :j, :i]
            probe = probe_of(x, spec.multiple_of, whole=spec.fixed_shape is not None)
            self._precisions[key] = choose_precision(self.networks[stage], probe.to(device), device)
        return self._precisions[key]

    def bytes_per_vox(self, stage: str) -> float:
        """Estimated peak memory of one network per voxel of its input; remembered."""
        if stage not in self._bytes_per_vox:
            spec, network = self.spec(stage), self.networks[stage]
            if spec.fixed_shape is not None:
                # Only that shape will do, so it is measured where nothing is computed.
                network = copy.deepcopy(network).to("meta")
            self._bytes_per_vox[stage] = network_bytes_per_vox(
                network, spec.multiple_of, 1, shape=spec.fixed_shape
            )
        return self._bytes_per_vox[stage]


def load_model(
    entry: WeightsEntry, files: Mapping[str, Path], *, device: str = "auto"
) -> LoadedModel:
    """The networks of `entry`, ready to run.

    Args:
        entry: the weights.
        files: where each of the entry's files lies, by name; their hashes are not checked here.
        device: see `pick_device`.

    Raises:
        WeightsError: a file is missing or damaged, or does not fit its network.
        UsageError: no such device.
    """
    choice = pick_device(device)
    networks = {
        stage: _load_network(entry, spec, files).to(choice.name)
        for stage, spec in _specs(entry).items()
        if spec is not None
    }
    if not networks:
        raise WeightsError(f"Weights '{entry.id}' have no network.", code="weights.stage")
    return LoadedModel(entry, networks, choice)


def _specs(entry: WeightsEntry) -> dict[str, NetworkSpec | None]:
    return {COARSE: entry.coarse, FINE: entry.fine, TUMOR: entry.tumor}


def _load_network(entry: WeightsEntry, spec: NetworkSpec, files: Mapping[str, Path]) -> nn.Module:
    path = files.get(spec.file)
    if path is None or not path.is_file():
        raise WeightsError(
            f"Weights '{entry.id}' need the file '{spec.file}', found "
            f"{path if path is not None else 'none of that name'}.",
            code="weights.missing",
            hint="Run 'weights fetch', or import the weights from a file.",
        )
    content = _read_weights_file(path)
    if content.get("builder") != spec.builder:
        raise WeightsError(
            f"{path} holds weights of the network '{content.get('builder')}'; "
            f"'{entry.id}' expects '{spec.builder}'.",
            code="weights.builder",
        )
    return _filled_network(spec.builder, content["state_dict"], path)


def _read_weights_file(path: Path) -> dict[str, Any]:
    """Content of a weights file; nothing in it is executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise _unreadable(path, error) from error
    except pickle.UnpicklingError as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise WeightsError(
            f"{path} is no weights file: 'builder' and 'state_dict' are missing.",
            code="weights.unreadable",
        )
    return content


def _filled_network(builder: str, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    if builder not in NETWORKS:
        raise WeightsError(
            f"There is no network '{builder}'. Known: {', '.join(NETWORKS)}.",
            code="weights.builder",
            hint="These weights may need a newer version of FlareMR.",
        )
    network = NETWORKS[builder].build()
    mistakes = _mismatches(network.state_dict(), state)
    if mistakes:
        raise WeightsError(
            f"{path} does not fit the network '{builder}': {'; '.join(mistakes)}.",
            code="weights.mismatch",
        )
    network.load_state_dict(
        {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    )
    if len(NETWORKS[builder].input_shape) == PLANE_AXES:
        network = SliceWise(network)
    return network.eval().requires_grad_(requires_grad=False)


def _mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    other_shape = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    lists = (("missing", missing), ("unexpected", unexpected), ("of another shape", other_shape))
    return [f"{len(names)} {what} ({_shown(names)})" for what, names in lists if names]


def _shown(names: list[str]) -> str:
    rest = len(names) - SHOWN_KEYS
    return ", ".join(names[:SHOWN_KEYS]) + (f" and {rest} more" if rest > 0 else "")


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as weights: {reason_of(error)}.",
        code="weights.unreadable",
        hint="The file may be damaged: run 'weights verify', or fetch it again.",
    )
