"""Views, overflow and progress of one network."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from FlareMRCore.inference.execution import Ticker, predict
from FlareMRCore.inference.memory import Plan
from FlareMRCore.progress import SilentReporter

X = torch.randn(1, 1, 12, 20, 17, generator=torch.Generator().manual_seed(0))


class Pointwise(nn.Module):
    """The same at every voxel, so that no flip matters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv3d(1, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Smoothing(Pointwise):
    """Looks at a neighborhood that is not symmetric."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 4, 3, padding=1)


def plan(*views: str, window: tuple[int, int, int] | None = None) -> Plan:
    return Plan("cpu", window, "cpu", ("identity", *views))


def ticker(reporter: Any = None) -> Ticker:
    return Ticker(reporter or SilentReporter(), "fine")


def run(network: nn.Module, spec: Any, chosen: Plan) -> Any:
    return predict(network.eval(), X, spec, chosen, dtype=torch.float32, ticker=ticker())


@pytest.mark.parametrize("views", [("flip-KJI",), ("flip-K", "flip-J", "flip-I")])
def test_flips_change_nothing_for_a_symmetric_network(make_spec: Any, views: tuple[str]) -> None:
    one, many = (run(Pointwise(), make_spec(), plan(*names)) for names in ((), views))
    torch.testing.assert_close(one.logits, many.logits)
    assert one.logits.shape == (4, 12, 20, 17)
    assert len(many.view_labels) == len(views) + 1
    assert not one.view_labels
    assert all(torch.equal(labels, many.view_labels[0]) for labels in many.view_labels)


def test_logits_are_the_mean_over_views(make_spec: Any) -> None:
    network, spec = Smoothing().eval(), make_spec(multiple_of=(1, 1, 1))
    with torch.inference_mode():
        flipped = network(X.flip(2, 3, 4)).flip(2, 3, 4)
        expected = (network(X) + flipped) / 2
    result = run(network, spec, plan("flip-KJI"))
    torch.testing.assert_close(result.logits, expected[0])


def test_overflow_falls_back_to_float32_and_is_told(make_spec: Any) -> None:
    class Overflowing(Pointwise):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y if y.dtype == torch.float32 else y * float("inf")

    network, spec = Overflowing().eval(), make_spec()
    result = predict(network, X, spec, plan(), dtype=torch.bfloat16, ticker=ticker())
    assert result.overflowed
    torch.testing.assert_close(result.logits, run(Pointwise(), spec, plan()).logits)


def test_progress_never_goes_back_and_hooks_are_taken_off(make_spec: Any) -> None:
    class Recording:
        def __init__(self) -> None:
            self.seen: list[tuple[int, int]] = []

        def advance(self, stage: str, done: int, total: int) -> None:
            assert stage == "fine"
            self.seen.append((done, total))

        def message(self, text: str, *, level: str = "info") -> None:
            raise AssertionError(text)

    reporter, network = Recording(), Pointwise().eval()
    counter = ticker(reporter)
    chosen = plan("flip-K", window=(8, 8, 8))
    predict(network, X, make_spec(), chosen, dtype=torch.float32, ticker=counter)
    assert counter.done == counter.total
    assert reporter.seen
    assert all(done <= total for done, total in reporter.seen)
    assert not network.conv._forward_pre_hooks
