"""The commands that messages print for what is not installed: requirements of this project, as pip takes them."""

import configparser
import importlib.metadata
import shlex
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parent.parent  # of a checkout, or of the installed packages
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn"}  # of other names
DISTRIBUTIONS |= {"tensorboard": "tensorflow"}  # which brings it
PROJECT = "keras-proof-zoo"  # never a requirement: it is on no index, where anybody could register the name


def install_command(name: str) -> str:
    """Return the command that installs an extra, or one requirement, in the required versions."""
    extras = requirements()
    found = extras.get(name) or [line for lines in extras.values() for line in lines if distribution(line) == name][:1]
    if not found:
        raise KeyError(name)
    return shlex.join(["pip", "install", *found])


def missing_command(module: str) -> str | None:
    """Return the command that installs the package of a module that cannot be imported; None if it is none of ours."""
    try:
        return install_command(DISTRIBUTIONS.get(module, module.replace("_", "-")))
    except (KeyError, importlib.metadata.PackageNotFoundError):
        return None


def requirements() -> dict[str, list[str]]:
    """Return the requirements by extra; "" has those that are always installed."""
    checkout = Path(ROOT, "setup.cfg")
    if checkout.is_file():
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(checkout, encoding="utf-8")
        if parser.get("metadata", "name", fallback="") == PROJECT:
            sections = {"": parser["options"]["install_requires"], **parser["options.extras_require"]}
            return {extra: lines.split() for extra, lines in sections.items()}
    extras: dict[str, list[str]] = {}
    for line in importlib.metadata.requires(PROJECT) or ():
        requirement, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip().strip("\"'")
        extras.setdefault(extra, []).append(requirement.strip().replace(" ", ""))
    return extras


def distribution(requirement: str) -> str:
    """Return the name in a requirement: "ray" in "ray[data,train]>=2.60"."""
    return "".join(takewhile(lambda c: c.isalnum() or c in "-_.", requirement))
