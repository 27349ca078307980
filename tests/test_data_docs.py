"""The page on data says what is true."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "data.md"


def test_every_example_on_the_page_runs():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried > 20
    assert failed == 0
