"""The two identities themselves: attacks that all run as root would prove half as much."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from support.identity import Identity


def test_each_identity_is_who_it_says_and_finds_llmgate(identity: Identity, request: pytest.FixtureRequest) -> None:
    code = "import os, llmgate, pathlib; print(os.geteuid(), os.getgroups()); pathlib.Path('mine').write_text('')"
    done = identity.python("-c", code)
    assert done.returncode == 0, done.stderr
    uid = done.stdout.split()[0]
    assert (uid == "0") == (request.node.callspec.params["identity"] == "root")
    assert (identity.folder / "mine").is_file()
