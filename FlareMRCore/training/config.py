"""Training parameters from a TOML file; every mistake is reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from FlareMRCore.errors import UsageError
from FlareMRCore.training.sampling import SamplingParameters
from FlareMRCore.training.segmentation import TrainingParameters


def load_training_parameters(path: Path, *, steps: int | None = None) -> TrainingParameters:
    """Parameters of the TOML file at `path`, with another number of steps if given.

    Raises:
        UsageError: the file cannot be read, or the message lists unknown, missing and
            mistyped keys.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", code="usage.toml") from error
    sampling = content.pop("sampling", {})
    if steps is not None:
        content["steps"] = steps
    problems = _problems(content, TrainingParameters, "") + _problems(
        sampling, SamplingParameters, "sampling."
    )
    problems += [f"'{key}' is missing" for key in ("builder", "steps") if key not in content]
    if problems:
        raise UsageError(
            f"{path} does not describe a training:\n" + "\n".join(problems), code="usage.toml"
        )
    return TrainingParameters(**_plain(content), sampling=SamplingParameters(**_plain(sampling)))


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as tuples, for frozen dataclasses."""
    return {key: _tuples(value) for key, value in table.items()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _problems(table: Mapping[str, Any], target: type, prefix: str) -> list[str]:
    known = {field.name: str(field.type) for field in fields(target)}
    problems = [f"unknown key '{prefix}{key}'" for key in table if key not in known]
    kinds: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "str": str}
    for key, value in table.items():
        kind = kinds.get(
            known.get(key, ""), list if known.get(key, "").startswith("tuple") else object
        )
        if isinstance(value, bool) or not isinstance(value, kind):
            problems.append(f"'{prefix}{key}' should be {known.get(key)}, is {value!r}")
    return problems
