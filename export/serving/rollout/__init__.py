"""Update a served model: a checked canary beside the stable version, promotion, rollback, and removal of old versions.

TF Serving reads `FOLDER/rollout/models.config` (`--model_config_file`, polled): the versions to load, and the labels
`stable` and `canary`. A server without that file serves the highest number.
"""

import importlib
from typing import Any

_MODULES = {
    "publish_canary": "export.serving.rollout.verbs",
    "promote": "export.serving.rollout.verbs",
    "rollback": "export.serving.rollout.verbs",
    "retire": "export.serving.rollout.verbs",
    "Requirements": "export.serving.rollout.update_check",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import public names on first access."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'export.serving.rollout' has no attribute {name!r}")
