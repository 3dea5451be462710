"""The download of LiteRT.js: only the pinned packages, only their named files."""

import base64
import hashlib
import io
import json
import tarfile

import pytest

from export.protocol import chromium, litert_js

INDEX = "".join(old + "\n" for old, _ in litert_js.CHANGES)


def tarball(files, links=()):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return data.getvalue()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    packages = {}
    for name, members in litert_js.FILES.items():
        files = {member: INDEX.encode() if target == "index.js" else b"x" for member, target in members.items()}
        content = tarball(files | {"../outside": b"no", "/absolute": b"no"})
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        packages[f"node_modules/{name}"] = {"version": "1.0.0", "integrity": f"sha512-{digest}"}
        path = tmp_path / "registry" / name / "-" / f"{name.rpartition('/')[2]}-1.0.0.tgz"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    lock = tmp_path / "package-lock.json"
    lock.write_text(json.dumps({"packages": {"": {}, **packages}}))
    monkeypatch.setattr(litert_js, "LOCK", lock)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    with chromium.serving(tmp_path / "registry") as url:
        yield url


def test_a_registry_without_npm(registry, tmp_path):
    assert not litert_js.is_present()
    folder = litert_js.fetch(registry, npm=None)
    assert {p.name for p in folder.iterdir()} == {n for members in litert_js.FILES.values() for n in members.values()}
    assert 'from "./wasm-utils.js"' in (folder / "index.js").read_text()
    assert {p.name for p in (tmp_path / "cache").iterdir()} == {folder.name}  # nothing staged is left
    assert not (tmp_path / "outside").exists()


def test_another_package_is_refused(registry, tmp_path):
    (path,) = (tmp_path / "registry").rglob("core-1.0.0.tgz")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="is not the package that package-lock"):
        litert_js.fetch(registry, npm=None)
    assert not litert_js.is_present()
    assert list((tmp_path / "cache").iterdir()) == []


def test_links_and_missing_members_are_refused(tmp_path):
    archive = tmp_path / "package.tgz"
    archive.write_bytes(tarball({}, links=[("package/index.js", "/etc/passwd")]))
    for member, reason in (
        ("package/index.js", "is not a plain file"),
        ("package/other.js", "has no package/other.js"),
    ):
        with pytest.raises(ValueError, match=reason):
            litert_js.unpack(archive, {member: "index.js"}, tmp_path)
    assert not (tmp_path / "index.js").exists()


def test_a_script_that_cannot_be_changed_is_refused():
    assert litert_js.changed(INDEX) != INDEX
    for script in (INDEX + INDEX, INDEX.replace("wasm-utils", "utils")):
        with pytest.raises(ValueError, match="not once"):
            litert_js.changed(script)


def test_the_lock_file_pins_what_is_used():
    assert set(litert_js.versions()) == set(litert_js.FILES)
    manifest = json.loads(litert_js.LOCK.with_name("package.json").read_text())
    assert manifest["dependencies"] == {litert_js.PACKAGE: litert_js.versions()[litert_js.PACKAGE]}
