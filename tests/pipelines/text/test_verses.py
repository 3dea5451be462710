"""SWORD modules and the pairs of verses made of them: format, markup, alignment, splits, damaged files."""

import dataclasses
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

import pipelines
from pipelines.datasets import verses
from pipelines.sources import packages, sword
from zoobase.errors import DataError, SourceUnavailable
from zoobase.files import sha256

FILES = [f"{testament}.{suffix}" for testament in sword.TESTAMENTS for suffix in ("bzs", "bzv", "bzz")]


def write_module(folder: Path, books: dict[str, list[list[str]]]):
    """Write a zText module with a block for each book, as osis2mod does: {"Gen": [[verse, verse], ...]}.

    The New Testament has one book without chapters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ot = [["", '<milestone type="x-importer"/>']]
    for book, chapters in books.items():
        slots = [f'<div canonical="true" osisID="{book}" sID="g" type="book"/> <title type="main">{book}</title>']
        for number, texts in enumerate(chapters, start=1):
            slots += [f'<chapter n="{number}" osisID="{book}.{number}" sID="{book}.{number}"/>', *texts]
            slots[-1] += f' <chapter eID="{book}.{number}"/>'
        ot.append(slots)
    introduction = ["", '<div osisID="Matt" sID="g" type="book"/> <title type="main">Matthew</title>', "About."]
    for testament, blocks in (("ot", ot), ("nt", [introduction])):
        index, entries, data = b"", b"", b""
        for number, slots in enumerate(blocks):
            encoded, start = [slot.encode() for slot in slots], 0
            for slot in encoded:
                entries += struct.pack("<IIH", number, start if slot else 0, len(slot))
                start += len(slot)
            packed = zlib.compress(b"".join(encoded))
            index += struct.pack("<III", len(data), len(packed), start)
            data += packed
        for suffix, content in (("bzs", index), ("bzv", entries), ("bzz", data)):
            (folder / f"{testament}.{suffix}").write_bytes(content)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Two modules of 40 chapters in folders of installed packages; return those folders."""
    folders = [tmp_path / name for name in ("english", "spanish")]
    for folder, sentence in zip(
        folders, ("This is number {} of chapter {}.", "Este es el {} del capítulo {}."), strict=True
    ):
        write_module(folder, {"Gen": [[sentence.format(v, c) for v in range(5)] + ["The same."] for c in range(40)]})
    for name, folder in zip(("ENGLISH", "SPANISH"), folders, strict=True):
        monkeypatch.setattr(verses, name, packages.Debian("no-such-package", str(folder), sha256="0"))
    return folders


def _rows(split):
    return [(e["source"].decode(), e["target"].decode()) for e in split.as_numpy_iterator()]


def test_a_module_is_read_by_chapter_without_introductions(tmp_path):
    write_module(tmp_path, {"Gen": [["In <w>the</w>.", "", "Last."], ["Other."]], "Exod": [["Third."]]})
    assert sword.chapters(tmp_path) == {"Gen.1": ["In the.", "", "Last."], "Gen.2": ["Other."], "Exod.1": ["Third."]}


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<w lemma="strong:G1">David</w>\u2019s <q who="Jesus">son</q><w>came</w>', "David\u2019s son came"),
        ('God<note placement="foot">not <w>this</w></note><w>made</w> it<note>x</note>, <lb/>all', "God made it, all"),
        ('<title canonical="true" type="psalm">A Psalm.</title><l level="1"/>Praise', "A Psalm. Praise"),
        ('<title type="x-introduction">Editor</title>Text &amp;lt; &lt;3', "Text &lt; <3"),
        ('<w>de</w><transChange type="added">que</transChange><w>es</w>.', "de que es."),
    ],
)
def test_markup_is_removed(markup, text):
    assert sword.plain(markup) == text


def _garbled(content: bytes) -> bytes:
    return content[:10] + bytes(byte ^ 255 for byte in content[10:])


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        *((file, None, rf"cannot read .*{file}") for file in FILES),
        ("ot.bzz", _garbled, r"ot\.bzz is damaged \(block 0: .*\); install its package again"),
        ("ot.bzz", lambda content: content[:-20], r"block 1: it has not the \d+ bytes that the index states"),
        ("ot.bzs", lambda content: content[:-1], r"ot\.bzs is damaged \(23 bytes are not entries of 12\)"),
        ("ot.bzs", lambda content: content[:12], r"ot\.bzv is damaged \(entry 2 is outside of its block\)"),
        (
            "ot.bzs",
            lambda content: content[:8] + b"\xff" * 4 + content[12:],
            r"block 0: it would have 4294967295 bytes",
        ),
        ("ot.bzv", lambda content: content + struct.pack("<IIH", 1, 1 << 20, 9), "outside of its block"),
        ("ot.bzv", lambda content: b"", r"ot\.bzv is damaged \(0 bytes"),
    ],
)
def test_a_damaged_module_is_one_sentence(tmp_path, file, damage, message):
    write_module(tmp_path, {"Gen": [["In the beginning.", "And."]]})
    path = tmp_path / file
    path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message) as error:
        sword.chapters(tmp_path)
    assert "\n" not in str(error.value)


def test_a_text_that_is_not_utf8_and_a_module_of_another_kind_are_named(tmp_path):
    write_module(tmp_path, {"Gen": [["caf\u00e9"]]})
    entries = (tmp_path / "ot.bzv").read_bytes()
    block, start, _ = struct.unpack("<IIH", entries[-10:])
    (tmp_path / "ot.bzv").write_bytes(entries[:-10] + struct.pack("<IIH", block, start, 4))  # in the middle of the e
    with pytest.raises(DataError, match=r"entry 4 is not UTF-8"):
        sword.chapters(tmp_path)
    write_module(tmp_path, {})
    with pytest.raises(DataError, match="has no chapters"):
        sword.chapters(tmp_path)


def test_verses_are_aligned_by_chapter_and_number():
    english = {
        "Gen.1": ["In the beginning.", "", "God said.", "A verse of its own."],
        "Gen.2": ["One more verse", "one less"],
        "Gen.3": ["The numbering moves", "here at the end."],
        "Gen.4": ["Short.", "A verse that is as long as the first of the other text."],
        "Gen.5": ["A verse of some length", "x", *["Equal in length."] * 9],
        "Gen.6": ["verse " * 26, "kept"],
        "Tob.1": ["Only in one text."],
    }
    spanish = {
        "Gen.1": ["En el principio.", "Y no.", "Dios dijo.", "Un vers\u00edculo suyo."],
        "Gen.2": ["De otro n\u00famero"],
        "Gen.3": ["El n\u00famero cambia", ""],
        "Gen.4": ["Un vers\u00edculo que es tan largo como otro del otro texto.", "Corto."],
        "Gen.5": ["Un vers\u00edculo de tama\u00f1o", "dos en uno", *["Igual en n\u00famero."] * 9],
        "Gen.6": ["verso " * 26, "sigue"],
        "Gen.7": ["Solo en otro."],
    }
    rows = verses.align(english, spanish)
    assert [row for row in rows if row[2] == "Gen.1"] == [
        ("In the beginning.", "En el principio.", "Gen.1"),
        ("God said.", "Dios dijo.", "Gen.1"),
        ("A verse of its own.", "Un vers\u00edculo suyo.", "Gen.1"),
    ]
    assert {row[2] for row in rows} == {"Gen.1", "Gen.5", "Gen.6"}
    assert "x" not in {row[0] for row in rows}  # the chapter is kept, the pair is not
    assert [row[0] for row in rows if row[2] == "Gen.6"] == ["kept"]


def test_no_chapter_and_no_english_text_of_training_is_in_another_split(modules, tmp_path):
    data = pipelines.load("verses", cache_dir=tmp_path / "cache")
    parts = {name: _rows(data[name]) for name in ("train", "validation", "test")}
    assert {name: len(rows) for name, rows in parts.items()} == data.info.counts
    chapters = [{row[0].rsplit(" ", 1)[-1] for row in rows} - {"same."} for rows in parts.values()]
    assert sum(map(len, chapters)) == len(set().union(*chapters)) == 40
    assert all(chapters)
    assert sum(row == ("The same.", "The same.") for row in parts["train"]) == len(chapters[0])
    assert not any(row[0] == "The same." for name in ("validation", "test") for row in parts[name])
    assert ("This is number 0 of chapter 0.", "Este es el 0 del cap\u00edtulo 0.") in [
        row for rows in parts.values() for row in rows
    ]


def test_pairs_are_prepared_once(modules, tmp_path):
    first = pipelines.load("verses", cache_dir=tmp_path / "cache")
    english, spanish = modules
    assert first.info.source == f"installed package folder {english} and installed package folder {spanish}"
    assert first.info.licence == "public domain"
    for folder in modules:
        shutil.rmtree(folder)
    again = pipelines.load("verses", cache_dir=tmp_path / "cache")
    assert again.info.source.startswith("prepared cache")
    assert _rows(again.test) == _rows(first.test)


def test_a_damaged_package_prepares_nothing(modules, tmp_path):
    (modules[1] / "nt.bzs").write_bytes(b"12345")
    with pytest.raises(DataError, match=r"nt\.bzs is damaged"):
        pipelines.load("verses", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache" / "verses" / "pairs").exists()


def test_a_missing_package_is_named(tmp_path, offline, monkeypatch):
    def fetch(*_):
        raise SourceUnavailable("no network")

    monkeypatch.setattr(packages, "fetch_debian", fetch)
    monkeypatch.setattr(verses, "ENGLISH", dataclasses.replace(verses.ENGLISH, folder=str(tmp_path / "none")))
    with pytest.raises(DataError, match=r"sword-text-web .*Try: sudo apt-get install sword-text-web sword-text-sparv"):
        pipelines.load("verses", cache_dir=tmp_path / "cache")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="this system has no dpkg-deb")
def test_a_package_is_checked_before_and_after_it_is_unpacked(tmp_path, monkeypatch):
    """A package of our own in place of apt's download: another digest is refused, and so is a link out of it."""
    tree = tmp_path / "tree"
    write_module(tree / "usr/share/sample", {"Gen": [["In the beginning."]]})
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: sample\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y.z>\nDescription: x\n"
    )

    def source(digest=""):
        archive = tmp_path / "sample_1_all.deb"
        subprocess.run(["dpkg-deb", "--build", str(tree), str(archive)], check=True, capture_output=True)
        run = packages.run

        def download(command, *, cwd, seconds):
            shutil.copy(archive, cwd) if command[0] == "apt-get" else run(command, cwd=cwd, seconds=seconds)

        monkeypatch.setattr(packages, "run", download)
        package = packages.Debian("sample", "/usr/share/sample", digest or sha256(archive))
        _, fetched = package.sources(sword.chapters)
        monkeypatch.setattr(packages, "has_apt", lambda: None)
        result = fetched.load()
        monkeypatch.setattr(packages, "run", run)
        return result, package.sha256_of(fetched.name), package.sha256

    result, recorded, digest = source()
    assert result == {"Gen.1": ["In the beginning."]}
    assert recorded == {"sample.deb": digest}
    with pytest.raises(SourceUnavailable, match=r"sample_1_all\.deb has sha256 .*, expected 000000000000"):
        source("0" * 64)
    (tree / "usr/share/sample/ot.bzz").unlink()
    (tree / "usr/share/sample/ot.bzz").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"ot\.bzz of the package points outside of it"):
        source()


@pytest.mark.extended
@pytest.mark.skipif(not shutil.which("apt-get"), reason="this system has no apt-get")
def test_the_debian_packages(tmp_path):
    try:
        data = pipelines.load("verses", cache_dir=tmp_path)
    except DataError as error:
        pytest.skip(f"the packages are not available: {error}")
    assert data.info.counts == {"train": 15731, "validation": 895, "test": 1122}
    rows = {source: target for name in data.info.counts for source, target in _rows(data[name])}
    assert rows["Jesus wept."] == "Y llor\u00f3 Jes\u00fas."
    assert rows["God said, \u201cLet there be light,\u201d and there was light."].startswith("Y dijo Dios: Sea la luz")
    assert not any("<" in text for row in rows.items() for text in row)
