"""The facts of a dataset of the MNIST family; tests/pipelines/test_load.py loads one."""

from pipelines.datasets import fashion_mnist


def test_checksums_are_those_of_the_builder_whatever_the_source_is_called(tmp_path):
    """The words "Download" and a folder of the user `owner` contain "own"; the checksums were dropped for both."""
    family = fashion_mnist.FAMILY
    assert len(family.checksums(family.official_builder(tmp_path))) == 4
    assert family.checksums(family._own(tmp_path)(data_dir=tmp_path)) == {}
