"""Recipes without networks, done in a second."""

from __future__ import annotations

ONE = """
name = "one"
title = "One"
description = "Makes phantoms."

[[stage]]
id = "cohort"
use = "phantom-cohort"
ct_cases = 1
test_cases = 1
spacing_mm = 24.0
"""
TWO = """
name = "two"
title = "Two"
description = "Makes and resamples phantoms."

[[stage]]
id = "cohort"
use = "phantom-cohort"
ct_cases = 1
test_cases = 1
spacing_mm = 24.0

[[stage]]
id = "finer"
use = "resample"
input = "cohort"
spacing_mm = [20.0, 20.0, 20.0]
"""
