"""The bill of materials of a bundle (CycloneDX 1.6): model, data with licences, packages by hash, what it came from.

The library `cyclonedx` has no class for a model card: that part is added to its JSON, and its validator knows it.
Reference: https://cyclonedx.org/capabilities/mlbom/.
"""

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any

from zoobase.errors import Unavailable
from zoobase.requirements import install_command

ROLES = {"data": "DATA", "package": "LIBRARY", "initial weights": "MACHINE_LEARNING_MODEL", "source": "APPLICATION"}


def dependencies_of(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a training used, as resource descriptors of in-toto; their annotation `role` is a key of `ROLES`."""
    # A bundle without provenance has the packages that wrote it.
    provenance = manifest.get("metadata", {}).get("provenance")
    if provenance:
        return [dict(entry) for entry in provenance["buildDefinition"]["resolvedDependencies"]]
    return [
        {"name": name, "uri": f"pkg:pypi/{name}@{version}", "annotations": {"role": "package", "version": version}}
        for name, version in manifest["producer"].items()
    ]


def to_json(name: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bill of materials as JSON of CycloneDX 1.6."""
    try:
        from cyclonedx.model import HashAlgorithm, HashType, Property
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.model.license import DisjunctiveLicense
        from cyclonedx.output.json import JsonV1Dot6
        from packageurl import PackageURL
    except ImportError as error:
        raise Unavailable(
            f"a bill of materials needs cyclonedx-python-lib ({error}); {install_command('attestation')}"
        ) from error

    def hashes(digest: str | None) -> list[Any]:
        return [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else []

    def licences(text: str | None) -> list[Any]:
        return [DisjunctiveLicense(name=text)] if text else []

    model = Component(
        name=name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        licenses=licences(manifest.get("metadata", {}).get("licence")),
    )
    model.bom_ref.value = "model"
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(manifest, sort_keys=True)))
    bom.metadata.timestamp = datetime.datetime.fromisoformat(manifest["created"])
    bom.metadata.component = model
    files = [
        Component(name=path, type=ComponentType.FILE, bom_ref=f"file:{path}", hashes=hashes(entry["sha256"]))
        for path, entry in manifest["files"].items()
    ]
    used = []
    for number, entry in enumerate(dependencies_of(manifest)):
        notes, digest = entry.get("annotations", {}), entry.get("digest", {})
        properties = {"role": notes["role"], **({"digest of": notes["of"]} if "of" in notes else {})}
        properties |= {f"digest {kind}": value for kind, value in digest.items() if kind != "sha256"}
        component = Component(
            name=entry["name"],
            version=notes.get("version"),
            type=ComponentType[ROLES[notes["role"]]],
            bom_ref=f"{notes['role']}:{number}:{entry['name']}",
            purl=PackageURL.from_string(entry["uri"]) if entry.get("uri", "").startswith("pkg:") else None,
            hashes=hashes(digest.get("sha256")),
            licenses=licences(notes.get("licence")),
            properties=[Property(name=f"keras-proof-zoo:{key}", value=value) for key, value in properties.items()],
        )
        used.append((notes["role"], component))
    bom.components.update([*files, *(component for _, component in used)])
    bom.register_dependency(model, [*files, *(component for _, component in used)])
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    datasets = [{"ref": component.bom_ref.value} for role, component in used if role == "data"]
    metrics = [
        {"type": metric, "value": str(value)}
        for metric, value in (manifest.get("metrics") or {}).items()
        if isinstance(value, int | float)
    ]
    content["metadata"]["component"]["modelCard"] = {
        "modelParameters": {"datasets": datasets},
        "quantitativeAnalysis": {"performanceMetrics": metrics},
    }
    return content
