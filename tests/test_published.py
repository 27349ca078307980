"""Numbers printed in the notebooks of CS231n's assignments: the facts, given by formulas for the inputs, not the code.

Source: github.com/cs231n/cs231n.github.io, commit 3d84654: FullyConnectedNets.ipynb and ConvolutionalNetworks.ipynb of
assignment 2 (2020), RNN_Captioning.ipynb and LSTM_Captioning.ipynb of assignment 3 (spring 2019). Eight decimals each.
"""

import numpy as np
import pytest

import backlit as bl
from backlit.engine import tree


def line(first, last, *shape):
    """Evenly spaced numbers."""
    return np.linspace(first, last, int(np.prod(shape))).reshape(shape)


W, DW, BEFORE = line(-0.4, 0.6, 4, 5), line(-0.6, 0.4, 4, 5), line(0.6, 0.9, 4, 5)
RULES = {
    # v <- mu v - lr dw, w <- w + v, which is ours with v in units of -1 / lr
    "momentum": (bl.Momentum(lr=1e-3, momentum=0.9), -BEFORE / 1e-3, 0, [
        [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789],
        [0.47454737, 0.54133684, 0.60812632, 0.67491579, 0.74170526],
        [0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263],
        [1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096],
    ]),
    "rmsprop": (bl.optim.RMSProp(lr=1e-2, decay=0.99), {"s": BEFORE, "mean": {}, "velocity": {}}, 0, [
        [-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247],
        [-0.132737, -0.08078555, -0.02881884, 0.02316247, 0.07515774],
        [0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447],
        [0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619],
    ]),
    "adam": (bl.Adam(lr=1e-2), {"m": BEFORE, "v": line(0.7, 0.5, 4, 5)}, 5, [
        [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977],
        [-0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929],
        [0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969],
        [0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459],
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_update_rules(name):
    rule, before, step, after = RULES[name]
    state = rule.init({"w": W})
    if isinstance(before, dict):
        state = state._replace(**{k: {"w": v} if isinstance(v, np.ndarray) else v for k, v in before.items()})
    else:
        state = {"w": before}
    updates, _ = rule.update({"w": DW}, state, {"w": W}, step)
    np.testing.assert_allclose(W + updates["w"], after, atol=6e-9, rtol=0)


def test_convolution():
    x, kernel = line(-0.1, 0.5, 2, 3, 4, 4), line(-0.2, 0.3, 3, 3, 4, 4)  # (N, C, height, width), (O, C, height, width)
    params = {"W": kernel.transpose(2, 3, 1, 0), "b": line(-0.1, 0.2, 3)}
    layer = bl.Conv(3, 4, stride=2, padding=1)
    y = layer.forward(params, {}, x.transpose(0, 2, 3, 1), bl.Context())[0]
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), [
        [[[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]], [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
         [[0.50813986, 0.54309974], [0.64082444, 0.67101435]]],
        [[[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]], [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
         [[2.36270298, 2.36904306], [2.38090835, 2.38247847]]],
    ], atol=6e-9, rtol=0)  # fmt: skip


def test_max_pooling():
    x = line(-0.3, 0.4, 2, 3, 4, 4).transpose(0, 2, 3, 1)
    y = bl.MaxPool(2).forward({}, {}, x, bl.Context())[0]
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), [
        [[[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]], [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
         [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]]],
        [[[0.09052632, 0.10526316], [0.14947368, 0.16421053]], [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
         [[0.32631579, 0.34105263], [0.38526316, 0.4]]],
    ], atol=6e-9, rtol=0)  # fmt: skip


def stepped(layer, params, memory, x):
    """The outputs (B, T, H) of a recurrent layer that goes step by step from a given state."""
    outputs = []
    for t in range(x.shape[1]):
        y, memory = layer.step(params, {}, memory, x[:, t : t + 1], bl.Context())
        outputs.append(y)
    return np.concatenate(outputs, axis=1)


def test_recurrent_net_from_a_given_state():
    params = {"W": line(-0.2, 0.4, 4, 5), "U": line(-0.4, 0.1, 5, 5), "b": line(-0.7, 0.1, 5)}
    h = stepped(bl.RNN(5), params, {"h": line(-0.3, 0.1, 2, 5)}, line(-0.1, 0.3, 2, 3, 4))
    np.testing.assert_allclose(h, [
        [[-0.42070749, -0.27279261, -0.11074945, 0.05740409, 0.22236251],
         [-0.39525808, -0.22554661, -0.0409454, 0.14649412, 0.32397316],
         [-0.42305111, -0.24223728, -0.04287027, 0.15997045, 0.35014525]],
        [[-0.55857474, -0.39065825, -0.19198182, 0.02378408, 0.23735671],
         [-0.27150199, -0.07088804, 0.13562939, 0.33099728, 0.50158768],
         [-0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043]],
    ], atol=6e-9, rtol=0)  # fmt: skip


def test_lstm_from_a_given_state():
    def ours(a):
        """Their gates are in the order i, f, o, g; ours i, f, g, o."""
        i, f, o, g = np.split(a, 4, axis=-1)
        return np.concatenate([i, f, g, o], axis=-1)

    params = tree.map(ours, {"W": line(-0.2, 0.9, 5, 16), "U": line(-0.3, 0.6, 4, 16), "b": line(0.2, 0.7, 16)})
    memory = {"h": line(-0.4, 0.8, 2, 4), "c": np.zeros((2, 4))}
    h = stepped(bl.LSTM(4), params, memory, line(-0.4, 0.6, 2, 3, 5))
    np.testing.assert_allclose(h, [
        [[0.01764008, 0.01823233, 0.01882671, 0.0194232], [0.11287491, 0.12146228, 0.13018446, 0.13902939],
         [0.31358768, 0.33338627, 0.35304453, 0.37250975]],
        [[0.45767879, 0.4761092, 0.4936887, 0.51041945], [0.6704845, 0.69350089, 0.71486014, 0.7346449],
         [0.81733511, 0.83677871, 0.85403753, 0.86935314]],
    ], atol=6e-9, rtol=0)  # fmt: skip
