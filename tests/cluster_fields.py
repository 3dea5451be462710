"""Kubernetes manifests against the fields, and their types, of the published schemas."""

import json
from pathlib import Path

import yaml

FIELDS = json.loads((Path(__file__).parent / "fixtures" / "cluster_fields.json").read_text())
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "integer|string": (int, str)}


def check_manifest(text):
    """Return a manifest; every field of it is one of the schema of its kind, with that type."""
    manifest = yaml.safe_load(text)
    _check(manifest, FIELDS[manifest["kind"]], "")
    return manifest


def _check(value, fields, path):
    if isinstance(value, list):
        for item in value:
            _check(item, fields, f"{path}[]")
    if not isinstance(value, dict) or path == "metadata":
        return
    for key, item in value.items():
        name = f"{path}.{key}".removeprefix(".")
        name = name if name in fields else f"{path}.*"
        assert name in fields, f"{path}.{key} is not a field of the schema"
        assert fields[name] == "any" or isinstance(item, TYPES[fields[name]]), f"{name} is {item!r}"
        _check(item, fields, name)
