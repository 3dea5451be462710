"""Packages and files that hold datasets: checksums, headers, damaged archives."""

import gzip
import hashlib
import zipfile

import pytest

from pipelines import DataError
from pipelines.datasets import fashion_mnist
from pipelines.sources import mnist_family, packages


def test_a_header_is_rewritten_around_the_same_payload():
    plain = gzip.compress(b"payload", mtime=0)
    named = mnist_family.with_header(plain, "t10k-labels-idx1-ubyte", 1504176627)
    assert gzip.decompress(named) == b"payload"
    assert named[4:8] == (1504176627).to_bytes(4, "little")
    assert b"t10k-labels-idx1-ubyte\0" in named
    assert mnist_family.with_header(named, "t10k-labels-idx1-ubyte", 1504176627) == named


def test_a_damaged_zip_is_an_error(tmp_path):
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(DataError, match="not a complete zip file"):
        packages.unzip(tmp_path / "half.zip", tmp_path)


def test_a_wheel_with_another_checksum_is_refused(tmp_path, monkeypatch):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "keras_proof_sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as contents:
        meta = "keras_proof_sample-1.0.dist-info"
        contents.writestr(f"{meta}/METADATA", "Metadata-Version: 2.1\nName: keras-proof-sample\nVersion: 1.0\n")
        contents.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        contents.writestr(f"{meta}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    assert packages.fetch_wheel("keras-proof-sample==1.0", digest, tmp_path / "good").is_file()
    with pytest.raises(DataError, match="sha256"):
        packages.fetch_wheel("keras-proof-sample==1.0", "0" * 64, tmp_path / "bad")


def test_checksums_are_those_of_the_builder_whatever_the_source_is_called(tmp_path):
    """The words "Download" and a folder of the user `owner` contain "own"; the checksums were dropped for both."""
    family = fashion_mnist.FAMILY
    assert len(family.checksums(family.official_builder(tmp_path))) == 4
    assert family.checksums(family._own(tmp_path)(data_dir=tmp_path)) == {}
