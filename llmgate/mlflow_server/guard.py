"""The store that refuses: what could change the meaning of a protected alias or stage asks the ledger first."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.entities.model_registry.model_version_stages import get_canonical_stage
from mlflow.store.model_registry.abstract_store import AbstractStore

from llmgate.attest.tags import STAGE, attestation_alias, attestation_key, ledger_key
from llmgate.errors import AttestationError, PolicyError
from llmgate.mlflow_server import refusal
from llmgate.mlflow_server.case import LockedModel
from llmgate.mlflow_server.stages import Transition
from llmgate.mlflow_server.tagged import (
    PLACEHOLDERS,
    PROMPT_TAG,
    holds_verdict,
    is_ledger,
    is_prompt_tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from llmgate.attest.policy import Protection, RegistryPolicy
    from llmgate.mlflow_server.events import StoredVersion
    from llmgate.mlflow_server.ledger import Ledger
    from llmgate.mlflow_server.policy_file import PolicyFile
    from llmgate.mlflow_server.view import View

__all__ = ["Gate"]

# What `super()` finds is the store behind the gate, and for a type checker MLflow's methods have no types.
Store: Any = AbstractStore

TAKE_OUT = "take it out of the registry's policy if it shall be protected no more"
AGAIN = "let `llmgate promote` make it and put it there"
LEAVE = "leave the tags that begin with llmgate.ledger to the registry"


class Gate(Store):  # type: ignore[misc]
    """Goes before a store of MLflow's: `type("Gated", (Gate, Store), {})`.

    What is not overridden here changes nothing that a protected alias means; a test holds this against the methods of
    the MLflow that is installed.
    """

    gate_policy: PolicyFile
    gate_atomic: bool
    """Whether what MLflow writes is undone when the transaction fails."""

    # What a kind of store fills in.

    def gate_workspace(self) -> str:
        """The workspace of this request."""
        raise NotImplementedError

    def gate_transaction(self, workspace: str, name: str) -> AbstractContextManager[tuple[View, Ledger]]:
        """A transaction in which a model is read, and written together with its ledger."""
        raise NotImplementedError

    def gate_version(self, number: int) -> Any:
        """A version's number in the type that the store behind takes."""
        return number

    def gate_now(self) -> datetime:
        """The time, by this server's clock."""
        return datetime.now(tz=UTC)

    # Aliases and stages.

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        """Refused for a protected alias unless a verdict or a rollback allows it."""
        policy, rule = self.gate_rule(name)
        if rule is None or not rule.protects(alias):
            super().set_registered_model_alias(name, alias, version)
            return
        number = whole_number(version)
        with self.gate_case(name, policy, rule) as case:
            facts, present = case.view.at_stake(number, alias)
            held = present is not None and present.version == number
            if facts is not None and not held and not case.is_prompt(facts):
                if (real := rule.look_alike(alias)) is not None:
                    raise refusal.blocked(name, number, alias, looks_like(real))
                self.gate_promote(case, facts, alias, present)
            super().set_registered_model_alias(name, alias, self.gate_version(number))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Refused for a protected alias: it moves, and is never without a holder."""
        policy, rule = self.gate_rule(name)
        if rule is None or not rule.protects(alias):
            super().delete_registered_model_alias(name, alias)
            return
        with self.gate_case(name, policy, rule) as case:
            holder = case.view.aliases().get(alias)
            facts = case.view.version(holder) if holder is not None else None
            # One that was there before the registry was gated, and can only mislead.
            stray = holder is not None and rule.look_alike(alias) is not None
            if not stray and not (facts is not None and case.is_prompt(facts)):
                raise refusal.refused(f"delete the alias {alias} of {name}", "it is protected", "move it instead")
            super().delete_registered_model_alias(name, alias)

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool
    ) -> Any:
        """Refused into a protected stage unless a verdict or a rollback allows it, and out of one that it empties."""
        policy, rule = self.gate_rule(name)
        if rule is None or not rule.stages:
            return super().transition_model_version_stage(name, version, stage, archive_existing_versions)
        number = whole_number(version)
        canonical: str = get_canonical_stage(stage)  # type: ignore[no-untyped-call]
        with self.gate_case(name, policy, rule) as case:
            facts = case.view.version(number)
            if facts is not None and not case.is_prompt(facts):
                before = case.view.staged()
                move = Transition(
                    version=number,
                    stage=canonical,
                    archive=bool(archive_existing_versions),
                    before=before,
                    protects=lambda its: rule.protects(f"{STAGE}{its}"),
                )
                if (objection := move.objection()) is not None:
                    raise refusal.refused(f"move {name} v{number} to {canonical}", *objection)
                if move.needs_verdict():
                    holder = move.holder()
                    present = case.view.version(holder) if holder is not None else None
                    self.gate_promote(case, facts, f"{STAGE}{canonical}", present)
            return super().transition_model_version_stage(
                name, self.gate_version(number), stage, archive_existing_versions
            )

    # Models.

    def create_registered_model(self, name: str, tags: Any = None, *rest: Any, **more: Any) -> Any:
        """Refused with tags that are the registry's, or that only look like a prompt's."""
        _, rule = self.gate_rule(name)
        for tag in tags or ():
            self.gate_not_ledger(name, tag.key)
            if rule is not None and is_prompt_tag(tag.key) and (tag.key, tag.value) != (PROMPT_TAG, "true"):
                raise refusal.refused(
                    f"create {name}", f"the tag {tag.key}={tag.value} makes no prompt", "leave it out"
                )
        return super().create_registered_model(name, tags, *rest, **more)

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Refused from and to protected names."""
        policy, rule = self.gate_rule(name)
        if name != new_name and isinstance(new_name, str) and policy.rule_for(new_name) is not None:
            raise refusal.refused(
                f"rename {name} to {new_name}", "that name is protected", "register the versions there, and gate them"
            )
        if rule is None:
            return super().rename_registered_model(name, new_name)
        with self.gate_case(name, policy, rule) as case:
            if not case.view.is_prompt():
                raise refusal.refused(f"rename {name}", "the model is protected", TAKE_OUT)
            return super().rename_registered_model(name, new_name)

    def delete_registered_model(self, name: str) -> None:
        """Refused for a protected model."""
        policy, rule = self.gate_rule(name)
        if rule is None:
            super().delete_registered_model(name)
            return
        with self.gate_case(name, policy, rule) as case:
            if not case.view.is_prompt():
                raise refusal.refused(f"delete {name}", "the model is protected", TAKE_OUT)
            super().delete_registered_model(name)

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Refused for the registry's tags, and for what would make a prompt of a protected model."""
        policy, rule = self.gate_rule(name)
        self.gate_not_ledger(name, tag.key)
        if rule is None or not is_prompt_tag(tag.key):
            super().set_registered_model_tag(name, tag)
            return
        with self.gate_case(name, policy, rule) as case:
            if (tag.key, tag.value) != (PROMPT_TAG, "true") or not case.view.is_prompt():
                raise no_prompt(f"{name}", tag.key)
            super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Refused for the registry's tags, and for what would make a model of a prompt with a protected name."""
        _, rule = self.gate_rule(name)
        self.gate_not_ledger(name, key)
        if rule is not None and is_prompt_tag(key):
            raise no_prompt(f"{name}", key)
        super().delete_registered_model_tag(name, key)

    # Versions.

    def create_model_version(
        self, name: str, source: str, run_id: Any = None, tags: Any = None, *rest: Any, **more: Any
    ) -> Any:
        """Refused where a prompt would hold a model, or a model a prompt; verdicts of another version stay behind."""
        _, rule = self.gate_rule(name)
        kept = [tag for tag in tags or () if not is_ledger(tag.key)]
        if rule is None:
            return super().create_model_version(name, source, run_id, kept, *rest, **more)
        kept = [tag for tag in kept if not (holds_verdict(tag.key) and guarded(rule, tag.key))]
        marks = [(tag.key, tag.value) for tag in kept if is_prompt_tag(tag.key)]
        with self.gate_transaction(self.gate_workspace(), name) as (view, _):
            if not self.gate_atomic:
                fits(name, marks, source, is_prompt=view.is_prompt())
            created = super().create_model_version(name, source, run_id, kept, *rest, **more)
            if self.gate_atomic:
                # Afterwards, in the same transaction: MLflow may ask other stores first, and no lock is held then.
                fits(name, marks, source, is_prompt=view.is_prompt())
            return created

    def delete_model_version(self, name: str, version: Any) -> None:
        """Refused for a version that holds, or ever held, a protected alias or stage."""
        policy, rule = self.gate_rule(name)
        if rule is None:
            super().delete_model_version(name, version)
            return
        number = whole_number(version)
        with self.gate_case(name, policy, rule) as case:
            facts = case.view.version(number)
            if facts is not None and not case.is_prompt(facts) and (holds := held(case, facts)):
                raise refusal.refused(
                    f"delete {name} v{number}",
                    f"it {holds}, and a rollback may need it",
                    "keep it, or archive its files",
                )
            super().delete_model_version(name, self.gate_version(number))

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        """Refused for a verdict that does not verify, and for what earned an alias."""
        policy, rule = self.gate_rule(name)
        self.gate_not_ledger(name, tag.key)
        if rule is None or not (is_prompt_tag(tag.key) or holds_verdict(tag.key)):
            super().set_model_version_tag(name, version, tag)
            return
        number = whole_number(version)
        with self.gate_case(name, policy, rule) as case:
            facts = case.view.version(number)
            if facts is not None:
                self.gate_tag(case, facts, tag)
            super().set_model_version_tag(name, self.gate_version(number), tag)

    def delete_model_version_tag(self, name: str, version: Any, key: str) -> None:
        """Refused for what earned an alias."""
        policy, rule = self.gate_rule(name)
        self.gate_not_ledger(name, key)
        if rule is None or not (is_prompt_tag(key) or holds_verdict(key)):
            super().delete_model_version_tag(name, version, key)
            return
        number = whole_number(version)
        with self.gate_case(name, policy, rule) as case:
            facts = case.view.version(number)
            if facts is not None and is_prompt_tag(key):
                raise no_prompt(f"{name} v{number}", key)
            if facts is not None and case.earned(facts.tags.get(key)):
                raise frozen(name, number, key)
            super().delete_model_version_tag(name, self.gate_version(number), key)

    # How it is done.

    def gate_rule(self, name: str) -> tuple[RegistryPolicy, Protection | None]:
        """The policy, and what protects a model.

        Raises:
            MlflowException: If the policy cannot be used just now; then nothing may change.
        """
        try:
            policy = self.gate_policy.current()
        except PolicyError as error:
            raise refusal.refused("change the registry", str(error), "Mend the policy file of this server") from error
        return policy, policy.rule_for(name) if isinstance(name, str) else None

    @contextmanager
    def gate_case(self, name: str, policy: RegistryPolicy, rule: Protection) -> Iterator[LockedModel]:
        """A protected model, locked until what MLflow writes about it is written."""
        workspace = self.gate_workspace()
        with self.gate_transaction(workspace, name) as (view, ledger):
            if (real := view.lock()) is None:
                # Raises what MLflow says of a model that is not there.
                super().get_registered_model(name)
                real = view.lock()
            if real is None:
                raise refusal.refused(f"change {name}", "it was just made or deleted", "try again")
            if real != name:
                raise refusal.refused(f"change {name}", f"the model is called {real}", "use that name")
            yield LockedModel(
                name=name, workspace=workspace, policy=policy, rule=rule, view=view, ledger=ledger, now=self.gate_now()
            )

    def gate_promote(self, case: LockedModel, facts: StoredVersion, alias: str, present: StoredVersion | None) -> None:
        """Let a version have an alias or a stage, or refuse it."""
        try:
            shown = case.promote(facts, alias, present)
        except AttestationError as error:
            raise refusal.blocked(case.name, facts.version, alias, error) from error
        self.gate_mirror(case, alias, shown)

    def gate_tag(self, case: LockedModel, facts: StoredVersion, tag: Any) -> None:
        """Take a verdict from a tag, or refuse the tag."""
        if is_prompt_tag(tag.key):
            if tag.value == facts.tags.get(tag.key):
                return
            raise no_prompt(f"{case.name} v{facts.version}", tag.key)
        if not guarded(case.rule, tag.key):
            return
        what = f"set {tag.key} of {case.name} v{facts.version}"
        alias = attestation_alias(tag.key)
        if alias is None or (not alias.startswith(STAGE) and case.rule.look_alike(alias) is not None):
            raise refusal.refused(what, "it only looks like the tag of a verdict", "name the alias as the policy does")
        current = facts.tags.get(tag.key)
        if current is not None and current == tag.value and case.knows(facts, alias, current):
            return
        if case.earned(current):
            raise frozen(case.name, facts.version, tag.key)
        try:
            shown = case.take(tag.value or "", facts, alias)
        except AttestationError as error:
            raise refusal.refused(what, refusal.why(error), error.fix or AGAIN) from error
        self.gate_mirror(case, alias, shown)

    def gate_mirror(self, case: LockedModel, alias: str, shown: str) -> None:
        """Show the last events where clients can read them."""
        name = case.name
        super().set_registered_model_tag(name, RegisteredModelTag(ledger_key(alias), shown))  # type: ignore[no-untyped-call]

    def gate_not_ledger(self, name: str, key: Any) -> None:
        """Keep clients from writing what the registry says about itself."""
        if isinstance(key, str) and is_ledger(key):
            raise refusal.refused(f"change the tag {key} of {name}", "only the registry writes it", LEAVE)


def whole_number(version: Any) -> int:
    """A version number, as MLflow takes it."""
    try:
        return int(version)
    except (TypeError, ValueError):
        raise refusal.invalid(f"llmgate: {version!r} is no version number") from None


def guarded(rule: Protection, key: str) -> bool:
    """Whether a tag that holds a verdict, or looks so, is for a protected alias, or for none that can be read."""
    alias = attestation_alias(key)
    return alias is None or rule.protects(alias)


def held(case: LockedModel, facts: StoredVersion) -> str:
    """What a version holds or held, worded; empty if nothing."""
    now = [alias for alias, holder in case.view.aliases().items() if holder == facts.version]
    if protected := [alias for alias in now if case.rule.protects(alias)]:
        return f"holds {', '.join(protected)}"
    if case.rule.protects(f"{STAGE}{facts.stage}"):
        return f"is in the stage {facts.stage}"
    if was := case.ledger.held(facts.version, facts.created):
        return f"held {', '.join(was)}"
    return ""


def fits(name: str, marks: list[tuple[str, str]], source: str, *, is_prompt: bool) -> None:
    """Prompts get prompts and models get models.

    Args:
        name: The model.
        marks: Tags of the new version that say it is a prompt.
        source: Of the new version.
        is_prompt: Whether the model is a prompt.

    Raises:
        MlflowException: If not.
    """
    if is_prompt and (marks != [(PROMPT_TAG, "true")] or source not in PLACEHOLDERS):
        raise refusal.refused(f"put a model into {name}", "it is a prompt", "register the model elsewhere")
    if marks and not is_prompt:
        raise no_prompt(f"a version of {name}", marks[0][0])


def looks_like(real: str) -> AttestationError:
    """An alias that a reader would take for a protected one."""
    return AttestationError(f"the alias looks like the protected {real}", fix="choose a name that does not")


def no_prompt(what: str, key: str) -> Exception:
    """Prompts are exempt, so what is protected does not become one."""
    return refusal.refused(
        f"change {key} of {what}", "a protected name cannot become a prompt, or stop being one", TAKE_OUT
    )


def frozen(name: str, number: int, key: str) -> Exception:
    """A verdict that earned an alias is evidence."""
    free = attestation_key(attestation_alias(key) or "ALIAS", 2)
    return refusal.refused(
        f"change {key} of {name} v{number}",
        "the verdict in it earned a protected alias and stays",
        f"put a new verdict into {free}, or the next number that is free",
    )
