"""The one place that hands a medium to the C2PA library, and takes a few facts out of what the library says.

Runs in the confined child alone. Nothing is fetched: neither manifests that lie elsewhere, nor revocations, nor
identities. Every text is as the manifest has it, cut; the parent makes it inert.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import c2pa

#: Characters of a text, and texts of a list, that are taken over.
MAX_TEXT, MAX_LISTED = 200, 20
#: What the library calls a manifest whose seals fit, with a signer whom the trust list vouches for or does not.
_STATES = {"Trusted": "valid", "Valid": "untrusted", "Invalid": "invalid"}
#: Ends of IPTC's digital source types that say that a trained model made the picture, or a part of it.
_AI_SOURCES = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
_REMOTE = "its manifest is kept elsewhere, and no address is called"
_NO_PLACE = "the library knows no place for credentials in this format"


def read(medium: BinaryIO, anchors: str) -> dict[str, Any]:
    """What the credentials of a medium are, as plain values; `anchors` are trusted certificates as PEM, or nothing.

    May raise anything for a file made to do so, or end the process: run it in a child.
    """
    try:
        reader = c2pa.Reader.try_create(None, medium, context=c2pa.Context.from_dict(_settings(anchors)))
        if reader is None:
            return {"state": "absent"}
        with reader:
            return _facts(json.loads(reader.json()))
    except c2pa.C2paError.NotSupported:
        return {"state": "absent", "problem": _NO_PLACE}
    except c2pa.C2paError as error:
        return {"state": "unreadable", "problem": _problem(str(error))}
    except ValueError:
        return {"state": "unreadable", "problem": "what the library says of it cannot be read"}


def _settings(anchors: str) -> dict[str, Any]:
    return {
        "core": {"decode_identity_assertions": False},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
        "trust": {"trust_anchors": anchors} if anchors else {},
    }


def _problem(text: str) -> str:
    # The library's own words hold the address, which nobody should follow.
    return _REMOTE if text.startswith("Remote") else text.removeprefix("Other: ")[:MAX_TEXT]


def _facts(store: dict[str, Any]) -> dict[str, Any]:
    manifests = _named(store.get("manifests"))
    active = manifests.get(str(store.get("active_manifest")), {})
    results = _named(store.get("validation_results"))
    signature = _named(active.get("signature_info"))
    generator = next(_each(active.get("claim_generator_info")), {})
    actions = list(_actions([active]))
    sources = {str(a.get("digitalSourceType")) for a in _actions(manifests.values())}
    return {
        "state": _STATES.get(str(store.get("validation_state")), "unreadable"),
        "failures": _codes(results, "failure"),
        "passed": _codes(results, "success"),
        "generator": _text(_generator(generator) or active.get("claim_generator")),
        "title": _text(active.get("title")),
        "issuer": _text(signature.get("issuer")),
        "signer": _text(signature.get("common_name")),
        "signed_at": _text(signature.get("time")),
        "actions": _listed(str(action.get("action")) for action in actions),
        "ingredients": len(list(_each(active.get("ingredients")))),
        "assertions": len(list(_each(active.get("assertions")))),
        "claims_ai": any(source.rpartition("/")[2] in _AI_SOURCES for source in sources),
    }


def _generator(info: dict[str, Any]) -> str:
    return " ".join(str(info[key]) for key in ("name", "version") if info.get(key))


def _actions(manifests: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """What was done to the picture, as the manifests claim."""
    for manifest in manifests:
        for assertion in _each(_named(manifest).get("assertions")):
            if str(assertion.get("label")).startswith("c2pa.actions"):
                yield from _each(_named(assertion.get("data")).get("actions"))


def _codes(results: dict[str, Any], kind: str) -> list[str]:
    """The library's codes of one kind, of the active manifest and of what became of its ingredients."""
    ingredients = [_named(delta.get("validationDeltas")) for delta in _each(results.get("ingredientDeltas"))]
    parts = [_named(results.get("activeManifest")), *ingredients]
    return _listed(str(each.get("code")) for part in parts for each in _each(part.get(kind)))


def _listed(texts: Iterable[str]) -> list[str]:
    return sorted({text[:MAX_TEXT] for text in texts})[:MAX_LISTED]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:MAX_TEXT]


def _named(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _each(values: Any) -> Iterator[dict[str, Any]]:
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else iter(())
