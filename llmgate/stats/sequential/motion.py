"""A Brownian motion that is looked at now and then, and leaves when it is too high: the quadrature of repeated tests.

Notation: test k of K is taken at the information t_k, t_1 < … < t_K on any scale. The statistic Z_k is standard normal
where nothing is to be found, and u_k = Z_k·√t_k is a Brownian motion at time t_k, so that tests share what they saw:
Z_j and Z_k correlate by √(t_j/t_k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["START", "Survivors", "exits"]

_REACH = 8.5
"""Standard deviations of the motion that are integrated over; what lies below weighs less than 1e-16."""
_PANEL = 16
"""Nodes of Gauss and Legendre in each panel of the quadrature."""
_PANELS_PER_STEP = 0.5
"""Panels for each standard deviation of the shortest step, within which the integrand changes."""
_FEWEST_PANELS = 6
_MOST_PANELS = 125


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survivors:
    """The sub-density of the motion among those that have not crossed yet, held at the nodes of a quadrature.

    ∫ f(u)·g(u) du below the last bound is Σ masses·g(nodes).

    Attributes:
        time: When it was looked at last; 0 for the start.
        nodes: Shape (m,).
        masses: Shape (m,).
    """

    time: float
    nodes: NDArray[np.float64]
    masses: NDArray[np.float64]

    def leave(self, z: float, time: float) -> float:
        """P(not crossed so far, and Z ≥ z at this time).

        Args:
            z: The bound, on the scale of a standard normal.
            time: After the last one.
        """
        sd = math.sqrt(time - self.time)
        return float(self.masses @ special.ndtr((self.nodes - z * math.sqrt(time)) / sd))

    def after(self, z: float, time: float, *, following: float) -> Survivors:
        """Those that are left when Z ≥ z has left at this time.

        Args:
            z: The bound.
            time: After the last one.
            following: When they will be looked at next: the shorter a step, the finer the quadrature.
        """
        root, sd = math.sqrt(time), math.sqrt(time - self.time)
        low, high = -_REACH * root, min(z * root, _REACH * root)
        width = max(high - low, 0.0)
        wanted = math.ceil(_PANELS_PER_STEP * width / math.sqrt(min(sd * sd, following - time)))
        panels = max(_FEWEST_PANELS, min(wanted, _MOST_PANELS))
        half = width / panels / 2.0
        x, w = special.roots_legendre(_PANEL)
        nodes = (low + half * (2.0 * np.arange(panels)[:, None] + 1.0 + x[None, :])).ravel()
        kernel = np.exp(-0.5 * ((nodes[:, None] - self.nodes[None, :]) / sd) ** 2) / (sd * math.sqrt(2.0 * math.pi))
        return Survivors(time=time, nodes=nodes, masses=half * np.tile(w, panels) * (kernel @ self.masses))


START = Survivors(time=0.0, nodes=np.zeros(1), masses=np.ones(1))
"""All of them, at 0."""


def exits(times: Sequence[float], z: NDArray[np.float64]) -> Iterator[float]:
    """P(the first Z_k ≥ z_k is at test k), for every k.

    Args:
        times: t_1 < … < t_K.
        z: Shape (K,).

    Reference: Armitage, McPherson & Rowe (1969), JRSS A 132:235-244.
    """
    left = START
    for k, bound in enumerate(z.tolist()):
        yield left.leave(bound, times[k])
        if k + 1 == len(times):
            return
        left = left.after(bound, times[k], following=times[k + 1])
