"""Training parameters from a TOML file; every mistake is reported at once."""

from __future__ import annotations

from pathlib import Path

from FlareMRCore.data.binding import bind_table
from FlareMRCore.data.toml_file import read_toml
from FlareMRCore.errors import UsageError
from FlareMRCore.training.parameters import TrainingParameters


def load_training_parameters(path: Path, *, steps: int | None = None) -> TrainingParameters:
    """Parameters of the TOML file at `path`, with another number of steps if given.

    Raises:
        UsageError: the file cannot be read, or the message lists unknown, missing and
            mistyped keys.
    """
    content = read_toml(path, UsageError, "usage.toml")
    if steps is not None:
        content["steps"] = steps
    parameters, problems = bind_table(content, TrainingParameters)
    if parameters is None:
        raise UsageError(
            f"{path} does not describe a training:\n" + "\n".join(problems), code="usage.toml"
        )
    return parameters
