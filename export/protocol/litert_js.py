"""LiteRT.js, the runtime of TFLite files in browsers: which version, where it is cached, and how it gets there.

`export/serving/web/package-lock.json` pins the npm packages by sha512. Only the standard library, because a runner uses
it.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __package__:
    from export.protocol.machine import cache_folder
else:
    from machine import cache_folder

LOCK = Path(__file__).parents[1] / "serving" / "web" / "package-lock.json"
REGISTRY = "https://registry.npmjs.org"
PACKAGE = "@litertjs/core"
SECONDS = 300  # for one download
DTYPES = ("float32", "int32", "int64", "uint8")  # of inputs and outputs; int64 by `CHANGES`
WEBGPU = "jspi"  # in the names of the files for WebGPU
LARGEST = 200_000_000  # bytes of one unpacked package
_OF_NPM = json.loads(LOCK.with_name("litert.json").read_text(encoding="utf-8"))
FILES: dict[str, dict[str, str]] = _OF_NPM["files"]  # package: {member: file name in the cache}
CHANGES = [(change["old"], change["new"]) for change in _OF_NPM["changes"]]  # of index.js


def versions() -> dict[str, str]:
    """Return the pinned version of each package."""
    return {name: entry["version"] for name, entry in _pinned().items()}


def folder() -> Path:
    """Return where LiteRT.js is cached."""
    content = json.dumps([_pinned(), FILES, CHANGES], sort_keys=True)  # another version or change is another folder
    name = f"litertjs-{versions()[PACKAGE]}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    return cache_folder() / name


def obstacle(endpoint: Mapping[str, Any]) -> str | None:
    """Return why LiteRT.js cannot run an endpoint of a contract in JSON, or None."""
    for tensor in [*endpoint["inputs"], *endpoint["outputs"]]:
        if tensor["dtype"] not in DTYPES:
            return f"{tensor['name']} of {endpoint['name']} is {tensor['dtype']}, which LiteRT.js does not have"
        if None in tensor["shape"][1:]:
            return f"{tensor['name']} of {endpoint['name']} has no fixed size, which LiteRT.js needs"
    return None


def is_present() -> bool:
    """Return whether LiteRT.js is cached; the folder is renamed to its place when it is whole."""
    return folder().is_dir()


def fetch(registry: str = REGISTRY, npm: str | None = "npm") -> Path:
    """Return the folder of LiteRT.js, which is downloaded once: by npm where it is installed, or from the registry."""
    target = folder()
    if is_present():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    stage.mkdir()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for name, entry in _pinned().items():
                content = _download(name, entry["version"], registry, npm, Path(scratch))
                check_integrity(name, content, entry["integrity"])
                archive = Path(scratch) / "package.tgz"
                archive.write_bytes(content)
                unpack(archive, FILES[name], stage)
        script = stage / "index.js"
        script.write_text(changed(script.read_text(encoding="utf-8")), encoding="utf-8")
        with contextlib.suppress(OSError):  # another process was faster
            stage.rename(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return target


def check_integrity(name: str, content: bytes, integrity: str) -> None:
    """Raise ValueError for a package whose content does not have the sha512 of the lock file."""
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if integrity != f"sha512-{digest}":
        raise ValueError(f"{name} is not the package that {LOCK.name} pins: its sha512 is {digest[:12]}...")


def unpack(archive: Path, members: dict[str, str], target: Path) -> None:
    """Write the named members of a tarball to a folder under names of ours; nothing else is read."""
    with tarfile.open(archive) as tar:
        for member, name in members.items():
            try:
                info = tar.getmember(member)
            except KeyError:
                raise ValueError(f"{archive.name} has no {member}") from None
            if not info.isfile() or info.size > LARGEST:
                raise ValueError(f"{member} of {archive.name} is not a plain file of at most {LARGEST:,} bytes")
            (target / name).write_bytes(tar.extractfile(info).read())


def changed(script: str) -> str:
    """Return index.js with `CHANGES`; ValueError if a passage to change does not occur exactly once."""
    for old, new in CHANGES:
        if script.count(old) != 1:
            raise ValueError(f"index.js of {PACKAGE} has {script.count(old)} times {old.strip()!r}, not once")
        script = script.replace(old, new)
    return script


def _pinned() -> dict[str, dict[str, str]]:
    packages = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]
    return {path.removeprefix("node_modules/"): entry for path, entry in packages.items() if path}


def _download(name: str, version: str, registry: str, npm: str | None, scratch: Path) -> bytes:
    """Return the tarball of a package; npm knows the user's registry and proxy."""
    base = f"{name.rpartition('/')[2]}-{version}.tgz"
    if npm and (program := shutil.which(npm)):
        command = [program, "pack", f"{name}@{version}", "--pack-destination", str(scratch), "--ignore-scripts"]
        try:
            result = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise OSError(f"npm pack {name}@{version} did not end within {SECONDS} s") from None
        files = [path for path in scratch.glob("*.tgz") if path.name.endswith(base)]
        if result.returncode or not files:
            lines = result.stderr.strip().splitlines()
            raise OSError(f"npm pack {name}@{version} failed: {lines[-1] if lines else result.returncode}")
        return files[0].read_bytes()
    opener = urllib.request.build_opener()  # reads the proxies of now; that of `urlopen` is kept from its first call
    with opener.open(f"{registry}/{name}/-/{base}", timeout=SECONDS) as response:
        return response.read(LARGEST)
