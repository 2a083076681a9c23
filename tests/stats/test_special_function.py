"""Functions of scipy without the package around them are the same functions, and the package is there for others."""

from __future__ import annotations

import subprocess
import sys

import pytest
from scipy import special

from llmgate.stats.special import special_function

NAMES = ("bdtrc", "betainccinv", "betaincinv", "chdtri")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_very_function(name: str) -> None:
    whole, found = getattr(special, name), special_function(name)
    arguments = [(1, 2, 0.05), (3, 8, 0.05), (40, 961, 0.01), (1, 1, 0.5), (997, 4, 0.95)]
    if name == "chdtri":
        arguments = [(df, tail) for df, _, tail in arguments]  # type: ignore[misc]
    assert [float(found(*each)).hex() for each in arguments] == [float(whole(*each)).hex() for each in arguments]


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_is_imported_when_somebody_asks_it_for_something() -> None:
    told = run("""
import sys
from llmgate.stats.special import special_function
found = special_function("betaincinv")
print("numpy.f2py" in sys.modules, "scipy.special._support_alternative_backends" in sys.modules)
from scipy.special import betaincinv, gammaln
import scipy.special, scipy.stats
print(float(betaincinv(3, 8, 0.05)) == float(found(3, 8, 0.05)), float(gammaln(3.0)) > 0, hasattr(scipy.special, "no"))
print(len(scipy.special.__all__) > 100, scipy.special is sys.modules["scipy.special"], scipy.stats.norm.cdf(0.0))
""")
    assert told.splitlines() == ["False False", "True True False", "True True 0.5"]


def test_several_threads_may_ask_at_once() -> None:
    told = run("""
import threading
from llmgate.stats.special import special_function
special_function("betaincinv")
found = []
def ask():
    from scipy.special import erf, gammaln, softmax
    found.append(float(erf(0.0)) + float(gammaln(1.0)) + float(softmax([1.0])[0]))
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found)
""")
    assert told.split() == str([1.0] * 8).split()


def test_another_scipy_may_keep_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.stats.special.COMPILED", "scipy.special.absent")
    special_function.cache_clear()
    try:
        assert special_function("chdtri") is special.chdtri
    finally:
        special_function.cache_clear()
    with pytest.raises(AttributeError, match="absent"):
        special_function("absent")
