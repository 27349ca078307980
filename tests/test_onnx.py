"""Every layer and loss that ONNX has an operator for computes what ONNX' own test cases expect.

Gradients are test_contract.py's part; this is about the forward pass, the meaning of each setting, and the layouts.
"""

from pathlib import Path

import pytest
from onnx_cases import table
from onnx_cases.case import ADAPTERS
from onnx_cases.outcome import outcome, outcomes
from onnx_cases.reading import cases

PAGE = Path(__file__).parents[1] / "docs" / "oracles.md"
operators = pytest.mark.parametrize("operator", sorted(ADAPTERS))


@operators
def test_operator_agrees_with_every_case_that_applies(operator):
    found = outcomes(operator)
    assert any(o.passed for o in found)
    assert {o.case.name: o.error for o in found if not o.passed and not o.reason} == {}


@operators
def test_operator_agrees_on_xla(operator):
    """The first case that applies, compiled; that the engines agree in general is test_contract.py's part."""
    case = next(o.case for o in outcomes(operator) if o.passed and single(o.case))
    again = outcome(case, "xla")
    assert again.passed, again


def single(case):
    return all(str(array.dtype) != "float64" for array in case.inputs.values())


def test_every_operator_has_cases():
    assert set(ADAPTERS) <= set(cases())


def test_the_page_holds_the_table():
    """After a change: `python -m onnx_cases.table`, in tests/."""
    assert PAGE.read_text(encoding="utf-8").split("\n## Cases\n\n")[1] == "\n".join([*table.lines(), ""])
