"""The few special functions that a usual decision takes: importing scipy's would cost more time than all the rest.

`scipy.special` takes 0.15 to 0.3 s of processor time and 20 MB to import, since it draws in numpy's compilers and test
tools. A decision on a thousand cases needs a quantile and some tail probabilities, which are here, for single numbers.

Where a function of scipy's is needed, for a bound of a rate, `special_function` takes it as scipy compiled it, and
leaves the package around it for later: whoever asks that for anything else gets it whole, then and there.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import threading
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from numpy.typing import NDArray

__all__ = ["bdtr", "ndtr", "ndtr_each", "ndtri", "special_function", "stdtr", "stdtrit", "xlog1py", "xlogy"]

_ROOT_2 = math.sqrt(2.0)
_ROOT_2_PI = math.sqrt(2.0 * math.pi)
_TINY = 1e-300

PACKAGE: Final = "scipy.special"
COMPILED: Final = "scipy.special._ufuncs"


def ndtr(x: float) -> float:
    """Φ(x), the normal distribution function: erfc(−x/√2)/2."""
    return 0.5 * math.erfc(-x / _ROOT_2)


def ndtr_each(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Φ of each of a few hundred numbers, shape (n,)."""
    return np.array([ndtr(x) for x in values.tolist()], dtype=np.float64)


def ndtri(p: float) -> float:
    """Φ⁻¹(p), to the last digit or two: Halley's steps from a rational approximation; ±∞ at 0 and 1.

    Reference: Abramowitz & Stegun (1964), 26.2.23, for the start.
    """
    if not 0.0 < p < 1.0:
        return math.nan if not 0.0 <= p <= 1.0 else math.copysign(math.inf, p - 0.5)
    if p > 0.5:
        return -ndtri(1.0 - p)
    t = math.sqrt(-2.0 * math.log(p))
    numerator = 2.515517 + t * (0.802853 + t * 0.010328)
    x = numerator / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
    for _ in range(3):
        step = (ndtr(x) - p) * _ROOT_2_PI * math.exp(x * x / 2.0)
        x -= step / (1.0 + x * step / 2.0)
    return x


def xlogy(x: float, y: float) -> float:
    """x·log(y), 0 where x is 0."""
    return 0.0 if x == 0.0 else (x * math.log(y) if y > 0.0 else -math.inf)


def xlog1py(x: float, y: float) -> float:
    """x·log(1 + y), 0 where x is 0."""
    return 0.0 if x == 0.0 else (x * math.log1p(y) if y > -1.0 else -math.inf)


def bdtr(k: float, n: int, p: float) -> float:
    """P(X ≤ k) of a binomial X: I_{1−p}(n − k, k + 1)."""
    k = math.floor(k)
    if k < 0 or k >= n:
        return 0.0 if k < 0 else 1.0
    return _betainc(float(n - k), k + 1.0, 1.0 - p, p)


def stdtr(df: float, t: float) -> float:
    """Student's distribution function: I_{df/(df + t²)}(df/2, 1/2)/2 below 0, and 1 minus that above.

    Ten digits are right at a million degrees of freedom, and more at fewer.
    """
    square = t * t
    if not math.isfinite(square):
        return math.nan if math.isnan(t) else float(t > 0.0)
    tail = 0.5 * _betainc(df / 2.0, 0.5, df / (df + square), square / (df + square))
    return 1.0 - tail if t > 0.0 else tail


def stdtrit(df: float, p: float) -> float:
    """Student's quantile, by Newton's steps on the distribution function, kept inside a bracket."""
    if not 0.0 < p < 1.0:
        return math.nan if not 0.0 <= p <= 1.0 else math.copysign(math.inf, p - 0.5)
    if p > 0.5:
        return -stdtrit(df, 1.0 - p)
    if p == 0.5:
        return 0.0
    if df == 1.0:
        return -1.0 / math.tan(math.pi * p)
    low, high = -1.0, 0.0
    while stdtr(df, low) > p:
        low, high = 2.0 * low, low
    t = max(low, min(high, ndtri(p)))
    scale = math.exp(math.lgamma((df + 1.0) / 2.0) - math.lgamma(df / 2.0)) / math.sqrt(df * math.pi)
    for _ in range(100):
        excess = stdtr(df, t) - p
        low, high = (low, t) if excess > 0.0 else (t, high)
        density = scale * math.exp(-(df + 1.0) / 2.0 * math.log1p(t * t / df))
        new = t - excess / density if density > 0.0 else low
        if not low <= new <= high:
            new = (low + high) / 2.0
        if abs(new - t) <= 1e-15 * abs(t):
            return new
        t = new
    return t


def _betainc(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b) with y = 1 − x, by its continued fraction.

    Reference: Didonato & Morris (1992), ACM TOMS 18:360-373, section 7; evaluated by Lentz's method.
    """
    if x <= 0.0 or y <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    # Turned round once at most: where both sides are on the border, rounding may put each beyond it.
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _betainc_fraction(b, a, y, x)
    return _betainc_fraction(a, b, x, y)


def _betainc_fraction(a: float, b: float, x: float, y: float) -> float:
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        d, c = 1.0 / _away(1.0 + even * d), _away(1.0 + even / c)
        value *= c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        d, c = 1.0 / _away(1.0 + odd * d), _away(1.0 + odd / c)
        value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return min(1.0, _beta_density(a, b, x, y) / a * value)


def _away(value: float) -> float:
    """A denominator, never 0."""
    return value if abs(value) > _TINY else _TINY


def _beta_density(a: float, b: float, x: float, y: float) -> float:
    """x^a·y^b/B(a, b), without the cancellation that gamma functions of large numbers bring.

    Reference: Loader (2000), Fast and Accurate Computation of Binomial Probabilities.
    """
    n = a + b
    exponent = _stirling(n) - _stirling(a) - _stirling(b) - _deviance(a, n * x) - _deviance(b, n * y)
    return math.sqrt(a * b / n) * math.exp(exponent) / _ROOT_2_PI


def _stirling(z: float) -> float:
    """Log Γ(z + 1) less Stirling's formula."""
    if z < 15.0:
        return math.lgamma(z + 1.0) - (z + 0.5) * math.log(z) + z - math.log(_ROOT_2_PI)
    s = 1.0 / (z * z)
    return (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (1.0 / 1680.0 - s / 1188.0)))) / z


def _deviance(x: float, mean: float) -> float:
    """x·log(x/mean) + mean − x, which is small where x is near the mean."""
    v = (x - mean) / (x + mean)
    if abs(v) >= 0.1:
        return x * math.log(x / mean) + mean - x
    total = (x - mean) * v
    term, square = 2.0 * x * v, v * v
    for j in range(3, 200, 2):
        term *= square
        new = total + term / j
        if new == total:
            break
        total = new
    return total


@cache
def special_function(name: str) -> Callable[..., Any]:
    """A function of `scipy.special`, the same as by `from scipy.special import name`.

    Args:
        name: For example `betaincinv`.
    """
    if PACKAGE not in sys.modules:
        _postpone()
    try:
        found = getattr(import_module(COMPILED), name)
    except (ImportError, AttributeError):
        # Another scipy has it elsewhere.
        found = getattr(import_module(PACKAGE), name)
    function: Callable[..., Any] = found
    return function


class PostponedPackage(ModuleType):
    """A package of which modules can be imported before it is: it is executed when it is asked for what it lacks."""

    _spec: ModuleSpec
    _lock: threading.RLock
    _begun: bool

    def __getattr__(self, name: str) -> Any:
        """Execute the package, once, and look again."""
        own = self.__dict__
        with own["_lock"]:
            if not own["_begun"]:
                own["_begun"] = True
                try:
                    own["_spec"].loader.exec_module(self)
                except BaseException:
                    own["_begun"] = False
                    raise
        if name in own:
            return own[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _postpone() -> None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.loader is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__dict__.update(_spec=spec, _lock=threading.RLock(), _begun=False)
    package.__class__ = PostponedPackage
    sys.modules.setdefault(PACKAGE, package)
