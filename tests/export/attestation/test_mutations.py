"""No mutation of a signed bundle is accepted, neither by us nor by the thirty lines."""

import pytest

from tests.export.attestation.mutations import KINDS, PAGE, Ground, accepted_by_us, accepted_without_us, run, to_table

pytestmark = pytest.mark.needs("attestation")


@pytest.fixture
def ground(bundles, keys, tmp_path):
    return Ground(tmp_path, bundles("two_by_two").path, bundles("functional_cnn").path, keys)


@pytest.mark.parametrize("count", [104, pytest.param(1000, marks=pytest.mark.proof)])
def test_no_mutation_is_accepted(ground, count):
    assert accepted_by_us(ground)
    assert accepted_without_us(ground)
    rows, _ = run(ground, count)
    assert rows == {kind: [count // len(KINDS), 0, 0] for kind in KINDS}
    assert accepted_by_us(ground)  # everything is as it was: it was the mutations that were refused
    assert accepted_without_us(ground)


def test_the_table_of_the_page_is_that_of_a_thousand_mutations():
    assert to_table({kind: [1000 // len(KINDS), 0, 0] for kind in KINDS}) in PAGE.read_text()
