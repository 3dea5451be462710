"""One file per family of models. Folders named in ZOO_MODELS_PATH (os.pathsep between them) are looked through too."""

import os

__path__ += [folder for folder in os.environ.get("ZOO_MODELS_PATH", "").split(os.pathsep) if folder]
