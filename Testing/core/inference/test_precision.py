"""The check of half precision against float32."""

import pytest
import torch
from torch import Tensor, nn

from FlareMRCore.inference import precision
from FlareMRCore.inference.precision import Precision, autocast, choose_precision, probe_of


class Scaled(nn.Module):
    """A convolution whose result may be spoiled in half precision."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv3d(1, 3, 3, padding=1)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        if y.dtype == torch.float32:
            return y
        if self.fault == "overflow":
            return y * float("inf")
        return y.flip(1) if self.fault == "wrong" else y


PROBE = torch.linspace(-2, 2, 16**3).reshape(1, 1, 16, 16, 16)


def test_right_half_precision_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # Emulated here, it is slow.
    monkeypatch.setattr(precision, "MAX_SLOWDOWN", 1e9)
    chosen = choose_precision(Scaled(""), PROBE, "cpu", candidates=("bfloat16",))
    assert chosen.name == "bfloat16"
    assert "agrees" in chosen.reason
    assert chosen.dtype == torch.bfloat16


def test_slow_half_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "MAX_SLOWDOWN", 0.0)
    monkeypatch.setattr(precision, "SHORT_S", 0.0)
    chosen = choose_precision(Scaled(""), PROBE, "cpu", candidates=("bfloat16",))
    assert chosen.name == "float32"
    assert "times as long" in chosen.reason


@pytest.mark.parametrize(
    ("seconds", "name"), [((9.0, 1.0), "bfloat16"), ((9.0, 9.0, 9.0), "float32")]
)
def test_a_pass_slowed_down_by_other_work_does_not_decide(
    seconds: tuple[float, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = iter((1.0, *seconds))
    logits = Scaled("")(PROBE).detach()
    monkeypatch.setattr(precision, "_timed_logits", lambda *_: (logits, next(passes)))
    assert choose_precision(Scaled(""), PROBE, "cpu", candidates=("bfloat16",)).name == name
    assert next(passes, None) is None


def test_short_passes_are_never_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = iter((1e-4, 0.09))
    logits = Scaled("")(PROBE).detach()
    monkeypatch.setattr(precision, "_timed_logits", lambda *_: (logits, next(passes)))
    assert choose_precision(Scaled(""), PROBE, "cpu", candidates=("bfloat16",)).name == "bfloat16"


@pytest.mark.parametrize(("fault", "reason"), [("overflow", "finite"), ("wrong", "labels")])
def test_wrong_half_precision_is_refused_with_a_reason(fault: str, reason: str) -> None:
    chosen = choose_precision(Scaled(fault), PROBE, "cpu", candidates=("bfloat16",))
    assert chosen.name == "float32"
    assert reason in chosen.reason


def test_without_candidates_it_is_float32() -> None:
    assert choose_precision(Scaled(""), PROBE, "cpu", candidates=()).name == "float32"


def test_inputs_too_large_to_check_stay_float32() -> None:
    large = torch.zeros(1, 1, 1, 1000, 1001)
    chosen = choose_precision(Scaled(""), large, "cpu", candidates=("bfloat16",))
    assert chosen.name == "float32"
    assert "too large" in chosen.reason


def test_probe_is_a_central_part_of_fitting_shape() -> None:
    x = torch.arange(96 * 32 * 160.0).reshape(1, 1, 96, 32, 160)
    probe = probe_of(x, (16, 32, 16), whole=False)
    assert probe.shape[2:] == (64, 32, 64)
    assert probe[0, 0, 0, 0, 0] == x[0, 0, 16, 0, 48]
    assert probe_of(x, (16, 32, 16), whole=True) is x


def test_float32_needs_no_autocast() -> None:
    with autocast("cpu", Precision("float32", "").dtype):
        assert not torch.is_autocast_enabled("cpu")
