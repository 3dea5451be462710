"""The apps of examples/devices, as far as they can be checked without Gradle and Xcode."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from export.bundle.device_libraries import CALLS

ROOT = Path(__file__).parent.parent / "examples/devices"
SOURCES = sorted(path for path in ROOT.rglob("*") if path.suffix in (".kt", ".kts", ".swift"))
PAIRS = {")": "(", "]": "[", "}": "{"}


def unbalanced(text):
    """Return the first bracket of a source that has no partner, or None; strings and comments do not count."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', "", text, flags=re.DOTALL)
    opened = []
    for character in text:
        if character in PAIRS.values():
            opened.append(character)
        elif character in PAIRS and (not opened or opened.pop() != PAIRS[character]):
            return character
    return opened[-1] if opened else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_brackets_have_partners(path):
    assert unbalanced(path.read_text()) is None


def test_a_bracket_without_a_partner_is_seen():
    assert unbalanced("fun f() { g(1 }") == "}"
    assert unbalanced('f("(") // )') is None


def test_the_activity_of_the_manifest_is_there():
    app = ROOT / "android/app/src/main"
    manifest = ET.parse(app / "AndroidManifest.xml").getroot()
    name = "{http://schemas.android.com/apk/res/android}name"
    (activity,) = (element.get(name) for element in manifest.iter("activity"))
    (source,) = app.rglob("*.kt")
    text = source.read_text()
    package = re.search(r"^package (\S+)$", text, re.MULTILINE)[1]
    assert f"class {activity.removeprefix('.')} " in text
    assert f'namespace = "{package}"' in (ROOT / "android/app/build.gradle.kts").read_text()
    assert source.parent == app / "java" / package.replace(".", "/")


def test_both_apps_call_what_devices_md_calls():
    package, call = CALLS["ImageClassifier"]
    (kotlin,) = ROOT.rglob("*.kt")
    (swift,) = ROOT.rglob("*.swift")
    assert f"com.google.mediapipe.tasks.vision.{package}.ImageClassifier" in kotlin.read_text()
    assert f"classifier.{call}(BitmapImageBuilder(photo).build())" in kotlin.read_text()
    assert f"classifier.{call}(image: MPImage(uiImage: photo))" in swift.read_text()
    assert "tasks-vision" in (ROOT / "android/app/build.gradle.kts").read_text()
    assert "MediaPipeTasksVision" in (ROOT / "ios/Podfile").read_text()
