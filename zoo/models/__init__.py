"""One file per family of models. Folders in ZOO_MODELS_PATH (separated by os.pathsep) are searched too."""

import os

__path__ += [folder for folder in os.environ.get("ZOO_MODELS_PATH", "").split(os.pathsep) if folder]
