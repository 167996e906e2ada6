"""Media with content credentials, signed in code by a certificate authority made for the test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4", ".mov": "video/quicktime"}
AI_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_USES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class Signer:
    """A signer and the authority that vouches for it, both made here; `authority` is a PEM certificate."""

    chain: str
    key: str
    authority: bytes


def make_signer(name: str = "Test Signer") -> Signer:
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("Test Root", root, "Test Root", root)
    leaf = _certificate(name, own, "Test Root", root)
    pem = [each.public_bytes(serialization.Encoding.PEM) for each in (leaf, authority)]
    key = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Signer(b"".join(pem).decode(), key.decode(), pem[1])


def _name(common: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{common} Ltd"[:64])
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: str, key: Any, issuer: str, signing: Any) -> x509.Certificate:
    own = key is signing
    uses = {use: use in (("key_cert_sign", "crl_sign") if own else ("digital_signature",)) for use in _USES}
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGUN)
        .not_valid_after(_BEGUN + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
        .add_extension(x509.KeyUsage(**uses), critical=True)
    )
    if not own:
        mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(mail, critical=True)
    return builder.sign(signing, hashes.SHA256())


def sign(
    source: Path,
    target: Path,
    signer: Signer,
    *,
    remote: str | None = None,
    edits: bool = False,
    **claims: Any,
) -> Path:
    """Write a signed copy, made by a trained model as it claims, or where it `edits` made of the source.

    With `remote` its manifest is said to lie at that address, and is not in the file.
    """
    definition = {
        "claim_generator_info": [{"name": "Test Camera", "version": "1.0"}],
        "title": "A title",
        "assertions": [] if edits else [action("c2pa.created", AI_SOURCE)],
        **claims,
    }
    context = c2pa.Context.from_dict(
        {"verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"enabled": False}}}
    )
    builder = c2pa.Builder(json.dumps(definition), context=context)
    if edits:
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    if remote:
        builder.set_remote_url(remote)
        builder.set_no_embed()
    info = c2pa.C2paSignerInfo(b"es256", signer.chain.encode(), signer.key.encode(), None)
    with source.open("rb") as given, target.open("w+b") as made:
        builder.sign(c2pa.Signer.from_info(info), KINDS[target.suffix], given, made)
    return target


def action(name: str, source_type: str | None = None) -> dict[str, Any]:
    told = {"action": name} | ({"digitalSourceType": source_type} if source_type else {})
    return {"label": "c2pa.actions", "data": {"actions": [told]}}


def tampered(source: Path, target: Path, at: int) -> Path:
    """A copy with one byte changed."""
    content = bytearray(source.read_bytes())
    content[at] ^= 1
    target.write_bytes(content)
    return target
