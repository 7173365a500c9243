"""Arithmetic of the networks: half precision where the processor has it and it proves right."""

from __future__ import annotations

import platform
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from FlareMRCore.data.geometry import Shape

MIN_LABEL_AGREEMENT = 0.98
MAX_LOGIT_ERROR = 0.05
"""Root mean square difference of the logits, as a share of their own spread."""
MAX_SLOWDOWN = 3.0
"""Some torch versions compute bfloat16 4 to 16 times slower."""
SHORT_S, RETIMED = 0.1, 2
"""A pass that takes less is never too slow; one that seems too slow is timed so often again. Other
work on the same processor would else decide about the format, and so about the result."""
MAX_PROBE_VOX = 1_000_000
"""On a processor, checking a larger input would cost more than half precision can save."""
PROBE_EDGE_VOX = 64


@dataclass(frozen=True, slots=True)
class Precision:
    """Number format of a network and the sentence that tells why.

    Attributes:
        name: ``"float32"``, ``"float16"`` or ``"bfloat16"``.
        reason: why this one, and why not a faster one.
    """

    name: str
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """The type in torch."""
        return _DTYPES[self.name]


_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def autocast(device: str, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Context in which torch computes in `dtype` where that is safe; nothing for float32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=dtype)


def candidate_precisions(device: str) -> tuple[str, ...]:
    """Half-precision formats that `device` computes natively, best first; often none."""
    if device.startswith("cuda"):
        return _cuda_candidates(torch.device(device))
    if device == "cpu" and cpu_has_bfloat16():
        return ("bfloat16",)
    return ()


def cpu_has_bfloat16() -> bool:
    """True if the processor multiplies bfloat16 itself; emulation would be slower than float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if any(bool(value) for name, value in capabilities.items() if "bf16" in name):
        return True
    if platform.machine().lower() in {"arm64", "aarch64"}:
        query = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
        return bool(query()) if query is not None else False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in names)


def choose_precision(
    network: nn.Module, probe: Tensor, device: str, *, candidates: tuple[str, ...] | None = None
) -> Precision:
    """The fastest format in which `network` gives the labels of float32 on `probe`.

    Args:
        network: on `device`, in evaluation mode.
        probe: part of a real input (1, 1, K, J, I), on `device`; see `probe_of`.
        device: name of the device.
        candidates: formats to try, best first; by default those of the device.
    """
    names = candidate_precisions(device) if candidates is None else candidates
    if not names:
        return Precision("float32", f"{device} has no native half precision")
    if device == "cpu" and probe[0, 0].numel() > MAX_PROBE_VOX:
        return Precision("float32", "the input is too large to check half precision first")
    reference, reference_s = _timed_logits(network, probe, device, torch.float32)
    refused: list[str] = []
    for name in names:
        logits, seconds = _timed_logits(network, probe, device, _DTYPES[name])
        for _ in range(RETIMED):
            if not _is_too_slow(seconds, reference_s):
                break
            seconds = min(seconds, _timed_logits(network, probe, device, _DTYPES[name])[1])
        fault = _fault(logits, reference, seconds, reference_s)
        if not fault:
            reason = f"{name} agrees with float32 on a probe of {tuple(probe.shape[2:])} voxels"
            return Precision(name, "; ".join([*refused, reason]))
        refused.append(f"{name} refused: {fault}")
    return Precision("float32", "; ".join(refused))


def probe_of(x: Tensor, multiple_of: Shape, *, whole: bool) -> Tensor:
    """Central part of a network input (1, C, K, J, I) that a precision check runs on.

    Args:
        x: input; each axis a multiple of `multiple_of`.
        multiple_of: what the axes of the part are multiples of too.
        whole: True for networks that take one shape only; then the input itself.
    """
    if whole:
        return x
    part = x
    for axis, step in enumerate(multiple_of):
        length = min(x.shape[axis + 2], max(step * 2, PROBE_EDGE_VOX // step * step))
        part = part.narrow(axis + 2, (x.shape[axis + 2] - length) // 2, length)
    return part.contiguous()


def _cuda_candidates(device: torch.device) -> tuple[str, ...]:
    # Tensor cores for float16 came with compute capability 7, for bfloat16 with 8.
    major, _ = torch.cuda.get_device_capability(device)
    return ("float16", "bfloat16") if major >= 8 else ("float16",) if major == 7 else ()


def _timed_logits(
    network: nn.Module, probe: Tensor, device: str, dtype: torch.dtype
) -> tuple[Tensor, float]:
    """Logits as float32 and the time of the faster of two passes; the first one warms up."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        with torch.inference_mode(), autocast(device, dtype):
            logits = network(probe).float()
        if device.startswith("cuda"):
            torch.cuda.synchronize(torch.device(device))
        seconds.append(time.perf_counter() - start)
    return logits, min(seconds)


def _is_too_slow(seconds: float, reference_s: float) -> bool:
    return seconds >= max(SHORT_S, MAX_SLOWDOWN * reference_s)


def _fault(logits: Tensor, reference: Tensor, seconds: float, reference_s: float) -> str:
    """What is wrong with half-precision logits; empty if nothing is."""
    if not bool(torch.isfinite(logits).all()):
        return "logits are not finite"
    agreement = float((logits.argmax(1) == reference.argmax(1)).float().mean())
    if agreement < MIN_LABEL_AGREEMENT:
        return f"only {agreement:.1%} of the labels agree with float32"
    spread = float(reference.std(correction=0)) + 1e-12
    error = float((logits - reference).square().mean().sqrt()) / spread
    if error > MAX_LOGIT_ERROR:
        return f"logits differ by {error:.1%} of their spread"
    if _is_too_slow(seconds, reference_s):
        return f"it takes {seconds / max(reference_s, 1e-9):.1f} times as long as float32"
    return ""
