"""Whom a cluster lets in. A real one is in tests/e2e/test_ray.py."""

from __future__ import annotations

import pytest

from llmgate.errors import CannotRunError
from llmgate.session.progress import LineProgress
from llmgate.session.ray.cluster import CLIENT_TRIES, join

DIED = RuntimeError("Starting Ray client server failed")


class Ray:
    """Refuses as often as it is told."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.asked: list[object] = []

    def init(self, *, address: str, **_: object) -> None:
        self.asked.append(address)
        if self.refusals:
            raise self.refusals.pop(0)


def test_a_client_whose_process_died_asks_again() -> None:
    ray, said = Ray(DIED, ConnectionError("gone")), list[str]()
    join(ray, "ray://h:10001", LineProgress(said.append))
    assert ray.asked == ["ray://h:10001"] * 3
    assert "client server failed" in said[0]
    assert "gone" in said[1]


@pytest.mark.parametrize(("address", "asked"), [("ray://h:10001", CLIENT_TRIES), ("ray", 1)])
def test_who_is_never_let_in_is_told_why(address: str, asked: int) -> None:
    ray, said = Ray(*[DIED] * 9), list[str]()
    with pytest.raises(CannotRunError, match="no Ray cluster to be had .*client server failed"):
        join(ray, address, LineProgress(said.append))
    assert len(ray.asked) == asked
