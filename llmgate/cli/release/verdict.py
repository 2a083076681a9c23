"""`llmgate verdict`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmgate.cli.frame import PATH, Group, show_json, show_lines
from llmgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.session.commands.verdict.sign import Situation

__all__ = ["verdict_group"]

MLFLOW_URI = click.option(
    "--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI]."
)
ALIAS = click.option("--alias", default="champion", show_default=True, help="The alias that it is for, or stage:NAME.")
SIGNING_OPTIONS = (
    click.option("--registry-id", metavar="ID", help="`registry:` of its policy [default: LLMGATE_REGISTRY_ID]."),
    click.option("--signing-key", type=PATH, metavar="FILE", help="Private key [default: from the environment]."),
    MLFLOW_URI,
    click.option("--verdicts-at", metavar="URI", help="SageMaker, Vertex AI: where verdicts lie, s3:// or gs://."),
    click.option("--offline", is_flag=True, help="Ask no registry; the options below tell the facts."),
    click.option("--created-at", metavar="TIME", help="When the version was created, as 2026-11-28T20:14:26.123Z."),
    click.option("--source", metavar="URI", help="The version's source."),
    click.option("--workspace", metavar="NAME", help="MLflow's workspace [default: MLFLOW_WORKSPACE, or default]."),
    click.option("--holder", metavar="N", help="The version that holds the alias; `none` if nobody does."),
    click.option("--holder-created-at", metavar="TIME", help="When that version was created."),
    click.option("--holder-verdict", metavar="SHA256", help="The verdict by which it holds the alias."),
    click.option("--holder-weights", metavar="SHA256", help="The weights in that verdict."),
    click.option(
        "--attempt", type=click.IntRange(1), default=1, help="Which attempt at this version it is [default: 1]."
    ),
)
FACTS = ("created_at", "source", "workspace", "holder", "holder_created_at", "holder_verdict", "holder_weights")


def signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both ways to sign take."""
    for option in reversed(SIGNING_OPTIONS):
        command = option(command)
    return command


GROUP_HELP = """Make, sign, read and verify signed verdicts.

A signed verdict is an in-toto statement in a DSSE envelope: which weights passed, against whom, in which registry they
may have which alias, until when. A registry with llmgate's plugin sets a protected alias for nothing else.

\b
  llmgate verdict keygen --out ci
  llmgate verdict sign runs/42 --version models:/support-bot/7 \\
      --registry-id prod-eu --signing-key ci.pem
  llmgate verdict verify runs/42/verdict.dsse.json --policy registry.yaml
"""


@click.group("verdict", cls=Group, help=GROUP_HELP, short_help="Sign verdicts, and see who signed one.")
def verdict_group() -> None:
    """The group."""


@verdict_group.command(short_help="Make a key that signs.")
@click.option(
    "--out", type=PATH, default=Path("ci"), show_default=True, metavar="NAME", help="Writes NAME.pem and NAME.pub."
)
@click.option(
    "--role",
    type=click.Choice(["gate", "bootstrap", "override"]),
    default="gate",
    show_default=True,
    help="What the registry is to let it sign.",
)
def keygen(out: Path, role: str) -> None:
    """Make an Ed25519 key, and say where its two halves belong.

    NAME.pem signs: give it to the CI's secret store. NAME.pub verifies: put it beside the registry's policy. No file
    is ever overwritten. The role `gate` signs verdicts, `bootstrap` the very first one of an alias, `override` a
    person's decision; give each a key of its own, and the last two to people.
    """
    from llmgate.attest.policy import KeyRole
    from llmgate.session.commands.verdict.keys import make_keys

    show_lines(make_keys(out).lines(KeyRole(role)))


@verdict_group.command(short_help="Sign what a run showed about a version.")
@click.argument("run", type=PATH)
@click.option("--version", "uri", required=True, metavar="models:/NAME/N", help="The version that was judged.")
@ALIAS
@click.option("--baseline", type=PATH, metavar="RUN", help="The champion's record [default: the one of the run].")
@click.option("--expires", default="30d", show_default=True, metavar="SPAN", help="How long it may promote.")
@click.option("--weights", metavar="SHA256", help="What the version's weights are, where MLflow is not asked.")
@click.option("--post", "posted", is_flag=True, help="Put it into the version's tag, where the registry looks for it.")
@click.option("--keyless", is_flag=True, help="Sign by the identity of this CI job, through Sigstore: a bundle.")
@signing_options
def sign(
    run: Path,
    *,
    keyless: bool,
    uri: str,
    alias: str,
    baseline: Path | None,
    expires: str,
    weights: str | None,
    posted: bool,
    signing_key: Path | None,
    **told: Any,
) -> None:
    """Take the decision on RUN again, and sign it for one version and one alias.

    No stored verdict is believed: the decision comes from the record and its policy. MLflow tells what the version is
    and who holds the alias; where the weights can be reached, they are hashed again. FAIL and INCONCLUSIVE are signed
    as well, since they outdate an older PASS. Writes verdict.dsse.json beside the record, and svr.dsse.json on PASS.

    Exits with 0 once it is signed, whatever it says. Nothing is signed on a pull request from a fork. The key comes
    from --signing-key, LLMGATE_SIGNING_KEY (PEM), or LLMGATE_SIGNING_COMMAND with LLMGATE_SIGNING_PUBLIC_KEY.

    --keyless writes verdict.sigstore.json instead, for readers who know Sigstore; a registry does not promote by it.
    """
    from llmgate.promote.elsewhere.address import is_elsewhere
    from llmgate.session.commands.verdict.keys import signer_from
    from llmgate.session.commands.verdict.sign import compared_run, logged_run, post, span, statement
    from llmgate.session.commands.verdict.sign import sign as sign_it
    from llmgate.session.decide.origin import refuse_strangers
    from llmgate.session.decide.sign import write_signed

    refuse_on_command_line(signing_key, uri=uri, alias=alias, expires=expires, weights=weights, **told)
    refuse_strangers(os.environ)
    if posted and told["offline"]:
        raise UsageError("--offline talks to no registry, so nothing can be posted", fix="Leave one of them out")
    if weights is not None and not told["offline"] and not is_elsewhere(uri):
        raise UsageError("the registry tells the weights itself", where="--weights", fix="Leave it out")
    if keyless and (posted or signing_key is not None):
        raise UsageError(
            "--keyless has no key, and a registry takes no bundle", fix="Leave --signing-key and --post out"
        )
    lasts, signer = span(expires), None if keyless else signer_from(signing_key, os.environ)
    situation = situation_of(uri, alias, told, run=logged_run(run), tagged=weights)
    baseline = compared_run(run, baseline)
    if signer is None:
        from llmgate.session.commands.verdict.keyless import sign_keyless, write_bundle

        bundle = sign_keyless(statement(run, situation, baseline=baseline, expires=lasts))
        show_lines([f"written: {write_bundle(run, bundle)}"])
        return
    signed = sign_it(run, situation, baseline=baseline, signer=signer, expires=lasts)
    files = write_signed(run, signed)
    verdict = signed.verdict
    colour = {"PASS": "green", "FAIL": "red"}.get(verdict.outcome, "yellow")
    click.secho(f"signed: {verdict.outcome} for {uri} -> {alias}", fg=colour)
    show_lines([f"verdict {verdict.digest}", f"key id {signer.keyid}", *(f"written: {path}" for path in files)])
    if posted:
        show_lines([f"posted: {uri}, tag {post(situation, signed.envelope)}"])


@verdict_group.command(short_help="Promote past the gate, with a reason and a name.")
@click.argument("uri", metavar="models:/NAME/N")
@ALIAS
@click.option("--reason", required=True, metavar="TEXT", help="Why. It is shown wherever the version is.")
@click.option("--by", required=True, metavar="WHO", help="Who takes it on.")
@click.option("--expires", default="4h", show_default=True, metavar="SPAN", help="How long it may promote.")
@click.option("--weights", metavar="SHA256", help="The version's weights, where nothing else tells them.")
@click.option(
    "--out", type=PATH, default=Path("override.dsse.json"), show_default=True, metavar="FILE", help="The file."
)
@click.option("--yes", is_flag=True, help="Do not ask for the model's name.")
@signing_options
def override(
    uri: str,
    *,
    alias: str,
    reason: str,
    by: str,
    expires: str,
    weights: str | None,
    out: Path,
    yes: bool,
    signing_key: Path | None,
    **told: Any,
) -> None:
    """Sign that a version may have an alias although no verdict says so.

    It needs a key of the role `override`. It is a verdict of its own kind: for one version, one alias and the present
    holder, short-lived, with a reason and a name, kept by the registry for good and shown wherever the version is. It
    is put into the version's tag unless --offline is given; `llmgate promote` then sets the alias.
    """
    from llmgate.record.disk import write_atomic
    from llmgate.session.commands.verdict.keys import signer_from
    from llmgate.session.commands.verdict.sign import override as override_it
    from llmgate.session.commands.verdict.sign import post, span
    from llmgate.session.decide.origin import refuse_strangers

    refuse_on_command_line(
        signing_key, uri=uri, alias=alias, reason=reason, by=by, expires=expires, weights=weights, **told
    )
    refuse_strangers(os.environ)
    lasts, signer = span(expires), signer_from(signing_key, os.environ)
    situation = situation_of(uri, alias, told, run=None, tagged=None)
    if not yes:
        confirm(situation)
    made = override_it(situation, reason=reason, by=by, signer=signer, expires=lasts, weights=weights)
    write_atomic(out, f"{made.envelope}\n".encode(), private=False)
    click.secho(f"signed: OVERRIDE for {uri} -> {alias}", fg="yellow")
    show_lines([f"verdict {made.verdict.digest}", f"key id {signer.keyid}", f"written: {out}"])
    if situation.registry is not None:
        show_lines(
            [f"posted: {uri}, tag {post(situation, made.envelope)}", f"next: llmgate promote {uri} --alias {alias}"]
        )


@verdict_group.command(short_help="Print what a signed verdict says.")
@click.argument("place", metavar="FILE|models:/NAME/N")
@ALIAS
@MLFLOW_URI
@click.option("--json", "as_json", is_flag=True, help="Print the statement as it was signed.")
def show(place: str, *, alias: str, mlflow_uri: str | None, as_json: bool) -> None:
    """Print a signed verdict for a person: verdict, subject, registry, champion, suites, metrics, times.

    It is read from a file, or from the newest tag of a registered version. Nothing is verified: whatever it says,
    anybody could have written it. `llmgate verdict verify` tells whether somebody who counts did.
    """
    from datetime import UTC, datetime

    from llmgate.session.commands.verdict.read import read_verdict
    from llmgate.session.commands.verdict.text import verdict_lines

    refuse_on_command_line(None, place=place, mlflow_uri=mlflow_uri)
    read = read_verdict(place, alias=alias, mlflow_uri=mlflow_uri)
    if as_json:
        import json

        show_json(json.loads(read.envelope.payload))
        return
    show_lines(verdict_lines(read.verdict, read.envelope, verified=(), now=datetime.now(UTC)))
    if read.others:
        show_lines(["", f"{read.where}; the version has {read.others} older for this alias"])


@verdict_group.command(short_help="Check who signed a verdict, and what for.")
@click.argument("place", metavar="FILE|models:/NAME/N")
@click.option("--policy", type=PATH, metavar="FILE", help="The registry's policy: its keys and rules count.")
@click.option("--key", type=PATH, metavar="FILE", help="A public key: the verdict has to be signed by it.")
@click.option("--identity", metavar="WHO", help="Of a Sigstore bundle: the workflow's URI or the e-mail address.")
@click.option("--issuer", metavar="URL", help="Of a Sigstore bundle: who vouches for that identity.")
@click.option(
    "--trust-config", type=PATH, metavar="FILE", help="Trust of your own Sigstore [default: the public one's]."
)
@click.option(
    "--version", "uri", metavar="models:/NAME/N", help="Whether it is about this version, and would promote it now."
)
@click.option("--alias", help="The alias that is asked for [default: the verdict's own, or champion].")
@click.option("--records", type=PATH, metavar="RUN", help="Hold the record in this folder against the signed digests.")
@click.option("--baseline", type=PATH, metavar="RUN", help="With --records: the champion's record.")
@MLFLOW_URI
def verify(
    place: str,
    *,
    policy: Path | None,
    key: Path | None,
    identity: str | None,
    issuer: str | None,
    trust_config: Path | None,
    uri: str | None,
    alias: str | None,
    records: Path | None,
    baseline: Path | None,
    mlflow_uri: str | None,
) -> None:
    """Verify a signed verdict, and print it.

    With --policy or --key: is it signed by somebody who counts, unaltered, and for this registry? With --identity and
    --issuer: is the Sigstore bundle signed by them (no network needed)? With --version: is it about exactly this
    version, and would it promote it now? With --records: are these the records that it was taken on? The question is
    never whether it says PASS, unless --version is given.

    Exits with 0 if all that was asked holds, 1 if something does not, 4 if something cannot be read.
    """
    from datetime import UTC, datetime

    from llmgate.session.commands.verdict.check import Trust, checked, compare_records, trust_from
    from llmgate.session.commands.verdict.read import read_verdict
    from llmgate.session.commands.verdict.text import verdict_lines

    refuse_on_command_line(None, place=place, uri=uri, mlflow_uri=mlflow_uri)
    if baseline is not None and records is None:
        raise UsageError("there are no records to compare with", where="--baseline", fix="Add --records")
    now = datetime.now(UTC)
    if identity is not None and issuer is not None and policy is None and key is None:
        from llmgate.session.commands.verdict.keyless import verify_keyless

        read = verify_keyless(Path(place), identity=identity, issuer=issuer, trust_config=trust_config)
        trust = Trust(who=f"{identity} (by {issuer})")
    elif {identity, issuer, trust_config} != {None}:
        raise UsageError(
            "a Sigstore bundle is verified by --identity together with --issuer, and by nothing else",
            where="--identity, --issuer",
            fix="For example --identity https://github.com/ORG/REPO/.github/workflows/gate.yml@refs/heads/main and "
            "--issuer https://token.actions.githubusercontent.com",
        )
    else:
        trust = trust_from(policy, key)
        read = read_verdict(place, alias=alias or "champion", mlflow_uri=mlflow_uri)
    who, *held = checked(read, trust, version=uri, alias=alias, mlflow_uri=mlflow_uri, now=now)
    if records is not None:
        held += compare_records(read.verdict, records, baseline)
    show_lines(verdict_lines(read.verdict, read.envelope, verified=who.split(", "), now=now))
    show_lines(["", *held] if held else [])


def refuse_on_command_line(signing_key: Path | None, **given: Any) -> None:
    """Refuse secrets among the options, a private key among them."""
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.commands.verdict.keys import refuse_key_text

    told = given | ({"signing_key": str(signing_key)} if signing_key is not None else {})
    for field, value in told.items():
        if isinstance(value, str):
            refuse_key_text(f"--{field.replace('_', '-')}", value)
    refuse_secrets(told)


def situation_of(uri: str, alias: str, told: dict[str, Any], *, run: str | None, tagged: str | None) -> Situation:
    """What is known of the version: by the registry, or by what was told."""
    from llmgate.promote.elsewhere.address import is_elsewhere
    from llmgate.session.commands.verdict.sign import SigningQuestion, look_up, look_up_elsewhere, registry_id
    from llmgate.session.commands.verdict.told import told_situation

    asked = SigningQuestion(uri=uri, alias=alias, registry=registry_id(told["registry_id"], os.environ))
    facts = {name: told[name] for name in FACTS}
    if told["offline"]:
        return told_situation(asked, **facts, attempt=told["attempt"], tagged=tagged, environ=os.environ)
    named = [f"--{name.replace('_', '-')}" for name, value in facts.items() if value is not None]
    if named:
        raise UsageError("the registry tells this itself", where=", ".join(named), fix="Add --offline, or leave it out")
    if is_elsewhere(uri):
        return look_up_elsewhere(asked, verdicts_at=told["verdicts_at"], tagged=tagged)
    return look_up(asked, mlflow_uri=told["mlflow_uri"], run=run)


def confirm(situation: Situation) -> None:
    """Ask for the model's name: nobody types that by mistake."""
    facts, champion = situation.facts, situation.champion
    holder = f"version {champion.version} loses it" if champion else "nobody holds it"
    show_lines([f"{facts.model} v{facts.version} gets {facts.alias} without a verdict ({holder})."])
    try:
        typed = click.prompt("The model's name", err=True)
    except click.Abort as error:
        raise UsageError("nobody confirmed it", fix="Add --yes where nobody can be asked") from error
    if typed != facts.model:
        raise UsageError(f"that is not {facts.model!r}, so nothing was signed", where="the model's name")
