"""Sigstore: signatures by an identity instead of a key. A bundle says which workflow, or which person, signed.

The `sigstore` extra. Signing asks Sigstore's servers for a short-lived certificate and writes a line into its public
log; verifying needs no network.

Reference: Sigstore bundle format 0.3; the client's own API, sigstore 4.5.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.envelope import PAYLOAD_TYPE
from llmgate.errors import AttestationError, CannotRunError, UsageError
from llmgate.record.disk import write_atomic
from llmgate.session.commands.verdict.read import read_bounded, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmgate.session.commands.verdict.read import ReadVerdict

__all__ = ["BUNDLE_NAME", "sign_keyless", "verified_payload", "verify_keyless", "write_bundle"]

BUNDLE_NAME: Final = "verdict.sigstore.json"
INSTALL: Final = "Install it with pip install 'pytest-llmgate[sigstore]'"


@contextmanager
def sigstore() -> Iterator[Callable[[str], Any]]:
    """The library's modules by name, quiet.

    Raises:
        CannotRunError: If it is not installed.
    """
    try:
        import_module("sigstore.verify")
    except ImportError as error:
        raise CannotRunError("the sigstore library is not installed", fix=INSTALL) from error
    # It warns that it does what it was asked to, which is to stay offline.
    logger = logging.getLogger("sigstore")
    before, logger.level = logger.level, logging.ERROR
    try:
        yield lambda name: import_module(f"sigstore.{name}")
    finally:
        logger.level = before


def sign_keyless(payload: bytes) -> str:
    """Sign a statement by the identity of this job.

    Args:
        payload: Canonical JSON.

    Returns:
        A Sigstore bundle, as JSON.

    Raises:
        UsageError: If nothing here says who is signing.
        CannotRunError: If the library is missing, or a server of Sigstore's cannot be reached or refuses.
    """
    with sigstore() as module:
        oidc = module("oidc")
        try:
            token = oidc.detect_credential()
        except oidc.IdentityError as error:
            raise UsageError(
                f"this job may not say who it is ({error})",
                where="--keyless",
                fix="In GitHub Actions: give the job `permissions: id-token: write`",
            ) from error
        if token is None:
            raise UsageError(
                "nothing here says who is signing",
                where="--keyless",
                fix="Sign in a CI job with an identity (GitHub Actions, GitLab, Google Cloud), or with --signing-key",
            )
        try:
            config = module("models").ClientTrustConfig.production()
            context = module("sign").SigningContext.from_trust_config(config)
            with context.signer(oidc.IdentityToken(token)) as signer:
                bundle = signer.sign_dsse(module("dsse").Statement(payload))
        except Exception as error:
            raise CannotRunError(
                f"Sigstore did not sign ({type(error).__name__}: {error})",
                where="--keyless",
                fix="Try it again; signing needs fulcio.sigstore.dev and rekor.sigstore.dev",
            ) from error
        text: str = bundle.to_json()
        return text


def verify_keyless(path: Path, *, identity: str, issuer: str, trust_config: Path | None) -> ReadVerdict:
    """Verify a bundle without network, and read the verdict in it.

    Args:
        path: The bundle.
        identity: Who has to have signed: the URI of a workflow, or an e-mail address.
        issuer: Who has to vouch for that identity, such as https://token.actions.githubusercontent.com.
        trust_config: A `ClientTrustConfig` of one's own Sigstore, None for the public one.

    Raises:
        AttestationError: If it is signed by somebody else, altered, or no verdict.
        CannotRunError: If the library is missing or a file cannot be read.
    """
    text = read_bounded(path)
    payload = verified_payload(text, identity=identity, issuer=issuer, trust_config=trust_config, where=str(path))
    read = read_text(text, where=str(path))
    if read.envelope.payload != payload:
        raise AttestationError("the bundle holds another statement than the one that was verified", where=str(path))
    return read


def verified_payload(text: str, *, identity: str, issuer: str, trust_config: Path | None, where: str) -> bytes:
    """The in-toto statement in a bundle that this identity signed.

    Raises:
        AttestationError: If it did not.
    """
    with sigstore() as module:
        verify = module("verify")
        try:
            if trust_config is None:
                verifier = verify.Verifier.production(offline=True)
            else:
                config = module("models").ClientTrustConfig.from_json(read_bounded(trust_config))
                verifier = verify.Verifier(trusted_root=config.trusted_root)
        except CannotRunError:
            raise
        except Exception as error:
            raise CannotRunError(
                f"the roots of trust cannot be used ({type(error).__name__}: {error})",
                where=str(trust_config or "sigstore"),
            ) from error
        try:
            bundle = module("models").Bundle.from_json(text)
            wanted = module("verify.policy").Identity(identity=identity, issuer=issuer)
            kind, payload = verifier.verify_dsse(bundle, wanted)
        except Exception as error:
            # Whatever a hostile bundle brings the library to raise, the bundle does not verify.
            first = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise AttestationError(
                f"the bundle does not verify: {first[0][:300]}",
                where=where,
                fix="Check --identity and --issuer, and that the bundle is the one that was signed",
            ) from error
    if kind != PAYLOAD_TYPE:
        raise AttestationError(f"the bundle holds {kind[:80]!r}, and {PAYLOAD_TYPE} is expected", where=where)
    statement: bytes = payload
    return statement


def write_bundle(out: Path, bundle: str) -> Path:
    """Write the bundle beside the record.

    Raises:
        RecordError: If it cannot be written.
    """
    write_atomic(out / BUNDLE_NAME, f"{bundle}\n".encode())
    return out / BUNDLE_NAME
