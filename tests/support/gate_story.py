"""A champion's life on a gated registry, told by whatever MLflow is installed; prints what became of each act.

A program of its own, so that it runs in environments with other versions: `gate_story.py FOLDER REGISTRY_URI`. FOLDER
holds the keys and the policy that the registry goes by.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import sqlalchemy
from mlflow.exceptions import MlflowException

from llmgate.attest.envelope import read_envelope
from llmgate.attest.keys import private_key
from llmgate.attest.statement import ChampionFacts
from llmgate.attest.tags import attestation_key, ledger_key
from support.verdicts import Keys, digest_of, registry_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "support-bot"


class Story:
    """Acts by the official client, and what the registry said to each."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.client = mlflow.MlflowClient(tracking_uri=uri.removeprefix("llmgate:"), registry_uri=uri)
        self.keys = Keys(folder=folder)
        for role in ("gate", "bootstrap"):
            self.keys.signers[role] = private_key((folder / f"{role}.pem").read_text(encoding="utf-8"), where=role)
        self.said: dict[str, str] = {}

    @contextmanager
    def act(self, name: str) -> Iterator[None]:
        """What the registry says to one act: "done", or its refusal."""
        try:
            yield
        except MlflowException as error:
            self.said[name] = str(error)
        else:
            self.said[name] = "done"

    def verdict(self, version: Any, champion: ChampionFacts | None = None, *, ago_s: float = 0.0, **told: Any) -> str:
        """Attach a verdict to a version.

        Returns:
            Its digest.
        """
        facts = registry_facts(
            version=str(version.version), created_at=created(version), source=version.source, alias="champion"
        )
        issued = datetime.now(UTC) - timedelta(seconds=ago_s)
        text = self.keys.verdict(facts, champion=champion, issued_at=issued, weights=f"v{version.version}", **told)
        self.client.set_model_version_tag(MODEL, str(version.version), attestation_key("champion"), text)
        return read_envelope(text).digest

    def alias(self, version: Any) -> None:
        """Ask for the alias."""
        self.client.set_registered_model_alias(MODEL, "champion", str(version.version))

    def holder(self) -> str:
        """Who holds it."""
        return str(self.client.get_model_version_by_alias(MODEL, "champion").version)

    def tell(self) -> dict[str, str]:
        """Bootstrap, refusals, promotion, rollback."""
        client = self.client
        client.create_registered_model(MODEL)
        first, second = (client.create_model_version(MODEL, f"s3://bucket/{name}") for name in ("one", "two"))
        with self.act("no verdict"):
            self.alias(first)
        earned = self.verdict(first, ago_s=60)
        with self.act("bootstrap"):
            self.alias(first)
        with self.act("a candidate without a verdict"):
            self.alias(second)
        champion = ChampionFacts(
            version=str(first.version),
            created_at=created(first),
            verdict=earned,
            weights=digest_of(f"v{first.version}"),
            journal=None,
        )
        self.verdict(second, champion, ago_s=30, outcome="FAIL")
        with self.act("FAIL"):
            self.alias(second)
        with self.act("holder after the refusals"):
            assert self.holder() == "1", self.holder()
        self.verdict(second, champion, ago_s=5)
        with self.act("promotion"):
            self.alias(second)
            assert self.holder() == "2", self.holder()
        with self.act("deleting what earned it"):
            client.delete_model_version_tag(MODEL, "2", attestation_key("champion"))
        with self.act("deleting the alias"):
            client.delete_registered_model_alias(MODEL, "champion")
        with self.act("deleting the holder"):
            client.delete_model_version(MODEL, "2")
        with self.act("renaming the model"):
            client.rename_registered_model(MODEL, "other")
        with self.act("a look-alike"):
            client.set_registered_model_alias(MODEL, "Champion", "1")
        with self.act("the stage"):
            client.transition_model_version_stage(MODEL, "1", "Production")
        with self.act("rollback"):
            self.alias(first)
            assert self.holder() == "1", self.holder()
        with self.act("an unprotected alias"):
            client.set_registered_model_alias(MODEL, "canary", "2")
        with self.act("reading"):
            found = client.search_model_versions(f"name = '{MODEL}'")
            assert {str(version.version) for version in found} == {"1", "2"}, found
        events = json.loads(client.get_registered_model(MODEL).tags[ledger_key("champion")])
        told = [f"{event['event']} {event['version']}" for event in events if event["event"] != "verdict"]
        return {**self.said, "ledger": ", ".join(told), "sqlalchemy": sqlalchemy.__version__}


def created(version: Any) -> datetime:
    """When a version was created, to the millisecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=version.creation_timestamp)


if __name__ == "__main__":
    told = Story(Path(sys.argv[1]), sys.argv[2]).tell()
    sys.stdout.write(json.dumps({"mlflow": mlflow.__version__, **told}) + "\n")
