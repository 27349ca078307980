"""Rows of the blocks of residual nets, their shortcuts, and gates."""

import backlit as bl
from rows.base import I, LayerRow, O

IMAGE, SEQUENCE = (4, 3, 2), (5, 2)

# On sequences, which compile faster; test_blocks.py checks the gradients on images.
LAYERS = [
    LayerRow(bl.layers.Projection(O, stride=2, norm=bl.BatchNorm()), SEQUENCE, train=True),
    LayerRow(bl.layers.Projection(2), IMAGE, note="identity"),
    LayerRow(bl.layers.PadShortcut(O, stride=2), IMAGE),
    LayerRow(bl.layers.PadShortcut(4, stride=3), (5, 4, 3, 2), note="volume"),
    LayerRow(bl.BasicBlock(O, stride=2), SEQUENCE, train=True),
    LayerRow(bl.BottleneckBlock(4, stride=2, shortcut="pad"), SEQUENCE),
    LayerRow(bl.PreActivationBlock(O), SEQUENCE, train=True),
    LayerRow(bl.Gate(bl.Dense(4), bl.Tanh(), bl.Dense(I), bl.Sigmoid())),
    LayerRow(bl.Gate(bl.Dense(1), bl.Sigmoid()), (4, I), note="a weight a step", steps=True),
    LayerRow(bl.Gate(bl.Flatten(), bl.Dense(2)), IMAGE, note="a weight a channel"),
    LayerRow(bl.SqueezeExcite(2), (4, 3, 4)),
    LayerRow(bl.SqueezeExcite(), (5, 3), note="one hidden unit"),
]
