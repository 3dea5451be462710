"""Update a served model: a checked canary beside the stable version, promotion, rollback, and removal of old versions.

TF Serving reads `FOLDER/rollout/models.config` (`--model_config_file`, polled): the versions to load, and the labels
`stable` and `canary`. A server without that file serves the highest number.
"""

from typing import TYPE_CHECKING

from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from export.serving.rollout.update_check import Requirements
    from export.serving.rollout.verbs import promote, publish_canary, retire, rollback

__all__ = ["Requirements", "promote", "publish_canary", "retire", "rollback"]

__getattr__ = lazy_attributes(__name__, __file__)
