"""Dates as people write them, and as ISO 8601 has them."""

import datetime

import numpy as np
import pytest

from backlit.data import Dates
from backlit.data.dates import LONGEST, VOCABULARY, pair, spelled, written

DAY = datetime.date(1967, 7, 4)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (0, "4 july 1967"),
        (2, "tuesday, 4 july 1967"),
        (3, "tue 4 jul 1967"),
        (6, "04.07.1967"),
        (8, "the 4th of jul 1967"),
        (13, "tue 4 jul 1967"),
    ],
)
def test_ways_to_write_a_date(form, text):
    assert written(DAY, form).rstrip(VOCABULARY[0]) == text


def test_the_longest_date_fits():
    assert len(written(datetime.date(1900, 9, 26), 2).rstrip(VOCABULARY[0])) == LONGEST


def test_the_decoder_sees_the_answer_up_to_the_character_before():
    x, y = pair(DAY, 1)
    assert (spelled(x[:LONGEST]), spelled(y)) == ("july 4, 1967", "1967-07-04")
    assert VOCABULARY[x[LONGEST]] == "\x01"
    np.testing.assert_array_equal(x[LONGEST + 1 :], y[:-1])


def test_no_day_of_the_test_part_is_in_the_training_part():
    data = Dates(rows=500).load()
    train, test = ({spelled(y) for y in part.y} for part in (data, data.test))
    assert (len(data), len(data.test)) == (450, 50)
    assert not train & test
    assert all(datetime.date.fromisoformat(day) for day in train | test)


def test_a_seed_draws_its_own_rows():
    one, same, other = Dates(rows=50).load(), Dates(rows=50).load(), Dates(rows=50, seed=1).load()
    np.testing.assert_array_equal(one.x, same.x)
    assert np.any(one.x != other.x)
