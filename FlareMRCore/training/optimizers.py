"""Optimizers by name: SGD, Adam, AdamW and AdaBelief, which torch does not have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from FlareMRCore.errors import UsageError
from FlareMRCore.training.learning_parameters import Optimization

RECTIFIED_FROM = 5.0
"""Length of the approximated moving average from which the adaptive step is trusted."""


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], optimization: Optimization
) -> torch.optim.Optimizer:
    """Optimizer of the named parameters that are not frozen.

    Raises:
        UsageError: no such optimizer, or every parameter is frozen.
    """
    moving = {name: value for name, value in parameters.items() if value.requires_grad}
    if not moving:
        raise UsageError("Every parameter is frozen: nothing to train.", code="training.frozen")
    groups = _groups(moving, optimization)
    rate, betas, epsilon = optimization.learning_rate, optimization.betas, optimization.epsilon
    if optimization.optimizer == "sgd":
        momentum = optimization.momentum
        return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0)
    if optimization.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=epsilon)
    if optimization.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=epsilon)
    if optimization.optimizer == "adabelief":
        return AdaBelief(groups, lr=rate, betas=betas, eps=epsilon)
    raise UsageError(
        f"There is no optimizer '{optimization.optimizer}'. Known: sgd, adam, adamw, adabelief.",
        code="usage.optimizer",
    )


class AdaBelief(torch.optim.Optimizer):
    """Adam whose step shrinks where gradients surprise; rectified, with decoupled decay.

    While the moving averages are too short to be trusted the step is that of momentum SGD.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: decay of the mean gradient and of its mean squared surprise.
        eps: added to the surprise in every step, and to its root.
        weight_decay: share, times `lr`, that each step takes off the parameters.

    Source: Zhuang et al., AdaBelief optimizer, NeurIPS 2020; rectification of Liu et al., On the
    variance of the adaptive learning rate and beyond, ICLR 2020 (adabelief-pytorch 0.2 defaults).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-16,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(  # type: ignore[override]  # torch declares one signature per kind of closure
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _believe(parameter, self.state[parameter], group)
        return loss


def _believe(parameter: Tensor, state: dict[str, Any], group: Mapping[str, Any]) -> None:
    gradient = parameter.grad
    if gradient is None:
        return
    if not state:
        state["step"] = 0
        state["mean"] = torch.zeros_like(parameter)
        state["surprise"] = torch.zeros_like(parameter)
    state["step"] += 1
    step, mean, surprise = state["step"], state["mean"], state["surprise"]
    first, second = group["betas"]
    parameter.mul_(1 - group["lr"] * group["weight_decay"])
    mean.lerp_(gradient, 1 - first)
    residual = gradient - mean
    surprise.mul_(second).addcmul_(residual, residual, value=1 - second).add_(group["eps"])
    rectification = _rectification(second, step)
    scale = -group["lr"] / (1 - first**step)
    if rectification is None:
        parameter.add_(mean, alpha=scale)
    else:
        parameter.addcdiv_(mean, surprise.sqrt().add_(group["eps"]), value=scale * rectification)


def _rectification(beta: float, step: int) -> float | None:
    """Factor of the adaptive step (with its bias correction), or None while it is not trusted."""
    longest = 2 / (1 - beta) - 1
    faded = beta**step
    length = longest - 2 * step * faded / (1 - faded)
    if length < RECTIFIED_FROM:
        return None
    variance_ratio = (length - 4) * (length - 2) * longest
    variance_ratio /= (longest - 4) * (longest - 2) * length
    return math.sqrt((1 - faded) * variance_ratio)


def _groups(
    parameters: Mapping[str, nn.Parameter], optimization: Optimization
) -> list[dict[str, Any]]:
    decay = optimization.weight_decay
    if optimization.decay_vectors or decay == 0:
        return [{"params": list(parameters.values()), "weight_decay": decay}]
    spared = {
        name for name, value in parameters.items() if value.ndim < 2 or "position_bias" in name
    }
    decayed = [value for name, value in parameters.items() if name not in spared]
    rest = [value for name, value in parameters.items() if name in spared]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
