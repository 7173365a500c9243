import math

import pytest
import torch

from FlareMRCore.errors import UsageError
from FlareMRCore.training.schedules import Schedule, rate_factor


def _factors(schedule: Schedule, steps: int) -> list[float]:
    return [rate_factor(schedule, step, steps) for step in range(steps)]


def test_poly_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=0.9)
    for factor in _factors(Schedule("poly"), 20):
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


def test_cosine_warms_up_and_ends_at_its_floor() -> None:
    schedule = Schedule("cosine", warmup_steps=20, warmup_start=1e-3, floor=1e-2)
    factors = _factors(schedule, 320)
    assert factors[0] == pytest.approx(1e-3 + 0.999 / 20)
    assert factors[19] == factors[20] == 1.0
    middle = 1e-2 + 0.99 * (1 + math.cos(math.pi / 2)) / 2
    assert factors[170] == pytest.approx(middle)
    assert factors[-1] == pytest.approx(1e-2, abs=1e-4)


def test_piecewise_is_constant_then_falls_as_cyclegan_wants() -> None:
    factors = _factors(Schedule("piecewise"), 200)
    assert factors[0] == factors[100] == 1.0
    assert factors[150] == pytest.approx(0.5)
    assert factors[199] == pytest.approx(0.01)


def test_warmup_limits_the_linear_fall() -> None:
    factors = _factors(Schedule("linear", warmup_steps=10), 100)
    assert factors[0] == pytest.approx(0.1)
    assert factors[50] == pytest.approx(0.5)
    assert max(factors) == pytest.approx(0.91)


def test_knots_that_do_not_rise_are_refused() -> None:
    with pytest.raises(UsageError, match="rise from t = 0"):
        Schedule("piecewise", knots=((0.0, 1.0), (0.0, 0.5), (1.0, 0.0)))
