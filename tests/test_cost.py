"""What a net costs: parameters, shapes, operations and memory against numbers counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import backlit as bl
from backlit.engine import operations
from backlit.errors import ShapeError
from backlit.evaluation.cost import costs
from backlit.protocol import paths

NESTED = bl.Chain(
    bl.Flatten(),
    bl.Dense(6),
    bl.ReLU(),
    bl.Dropout(0.5),
    bl.Residual(bl.Dense(6), bl.Tanh()),
    bl.Branch(bl.Dense(3), bl.Dense(4), join="concatenate"),
    out=bl.Dense(2),
)


def test_dense_costs_two_operations_a_weight_and_one_a_bias():
    found = costs(bl.Chain(bl.Dense(256), bl.ReLU(), bl.Dense(10, b=None)), (784,))
    assert found["dense_1"].flops == 2 * 784 * 256 + 256
    assert found["relu_1"].flops == 256
    assert found["dense_2"].flops == 2 * 256 * 10
    assert found.flops == sum(layer.flops for layer in found.layers)
    assert found.parameters == 784 * 256 + 256 + 256 * 10


def test_dense_over_a_sequence_costs_every_step():
    assert costs(bl.Dense(4), (7, 3)).flops == 7 * (2 * 3 * 4 + 4)


def test_layers_come_in_the_order_of_the_forward_pass_with_shapes_of_the_real_outputs():
    found = costs(NESTED, (2, 4))
    assert [layer.path for layer in found.layers] == paths(NESTED)
    _, params, state = NESTED.init(bl.random.key(0), (2, 4))
    *_, trace = bl.gradient(
        NESTED, bl.SquaredError(), params, state, np.ones((5, 2, 4), "f"), np.zeros((5, 2), "f"),
        bl.Context(train=True, root=bl.random.key(1)),
    )  # fmt: skip
    real = {path: y.shape[1:] for path, (y, _) in bl.signals(trace).items()}
    assert {layer.path: layer.shape for layer in found.layers} == real
    assert found.output == (2,)


def test_a_layer_that_holds_layers_counts_what_is_within():
    found = costs(NESTED, (2, 4))
    branch, residual = found["branch_1"], found["residual_1"]
    assert branch.inside
    assert branch.flops == found["branch_1.dense_1"].flops + found["branch_1.dense_2"].flops
    assert branch.parameters == 6 * 3 + 3 + 6 * 4 + 4
    assert residual.flops == 2 * 6 * 6 + 6 + 6 + 6  # product, bias, tanh, the addition of x
    assert [found[p].depth for p in ("branch_1", "branch_1.dense_1")] == [0, 1]


def test_memory_counts_an_array_once_and_only_what_backward_reads():
    found = costs(NESTED, (2, 4))
    assert found["flatten_1"].memory == 0  # of its input only the shape is wanted
    assert found["dense_1"].memory == 8 * 4  # x
    assert found["relu_1"].memory == 6 * 4  # its output
    assert found["dropout_1"].memory == 0  # a key, whatever the batch: no share of a row
    assert found["branch_1.dense_1"].memory == 6 * 4
    assert found["branch_1.dense_2"].memory == 0  # the same input is kept already
    assert found.memory == sum(layer.memory for layer in found.layers if not layer.inside)


def test_one_layer_alone_is_a_table_of_one_line():
    found = costs(bl.Dense(5), (3,))
    assert [(layer.kind, layer.shape, layer.flops) for layer in found.layers] == [("Dense", (5,), 2 * 3 * 5 + 5)]


def test_a_layer_without_a_backward_of_its_own_is_counted_too():
    assert costs(bl.Chain(bl.Dense(4), bl.Autodiff(lambda p, x: jnp.sin(x))), (3,))["autodiff_1"].flops == 4


def test_a_shape_that_does_not_fit_names_the_layer():
    with pytest.raises(ShapeError, match="residual_1"):
        costs(bl.Chain(bl.Residual(bl.Dense(4))), (3,))


def test_loops_convolutions_and_conditions_are_counted():
    x = np.ones((2, 3), "f")

    def loop(x):
        return jax.lax.scan(lambda c, w: (c @ w, None), x, jnp.zeros((7, 3, 3)))[0]

    assert operations.flops(loop, x) == 7 * 2 * 2 * 3 * 3
    image, kernel = np.ones((2, 8, 8, 3), "f"), np.ones((3, 3, 3, 5), "f")
    spec = ("NHWC", "HWIO", "NHWC")
    convolved = operations.flops(
        lambda x, k: jax.lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=spec), image, kernel
    )
    assert convolved == 2 * (2 * 4 * 4 * 5) * (3 * 3 * 3)
    either = operations.flops(lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ x.T @ x, lambda x: x, x), x)
    assert either == 2 * 2 * 3 * 2 + 2 * 2 * 2 * 3
    assert operations.flops(lambda x: jnp.sum(jnp.reshape(x, (-1,))), x) == 6
    assert operations.flops(lambda i: i + 1, np.ones(3, "i4")) == 0


def test_read_tells_numbers_from_shapes():
    args = ({"a": np.ones((2, 3), "f"), "b": np.ones(3, "f")}, np.ones((3, 2), "f"))
    assert operations.read(lambda p, x: jnp.reshape(x, p["a"].shape) + p["b"], *args) == [False, True, True]
