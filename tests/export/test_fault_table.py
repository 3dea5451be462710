"""The table of faults in the documentation is what the checks find."""

import pytest

from tests.export import faults


@pytest.mark.proof
def test_the_table_of_faults_is_true(tmp_path):
    outcomes = list(faults.run(tmp_path))
    assert faults.page(outcomes) == faults.PAGE.read_text(), "run `python -m tests.export.faults`"
    assert len(outcomes) > 60
    assert not [outcome for outcome in outcomes[1:] if outcome.by == ("nothing",)]
