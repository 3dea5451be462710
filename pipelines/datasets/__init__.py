"""One file per dataset. Folders in ZOO_DATASETS_PATH (separated by os.pathsep) are searched too."""

import os

__path__ += [folder for folder in os.environ.get("ZOO_DATASETS_PATH", "").split(os.pathsep) if folder]
