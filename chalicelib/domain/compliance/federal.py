"""Shapes that only United States federal law needs so far."""

from typing import Any

SHAPES: dict[str, Any] = {}
