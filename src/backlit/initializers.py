"""Where training starts: each initialiser draws one parameter from its shape. Biases start at zero.

fan_in and fan_out of a kernel (..., I, O) are I and O times the receptive field (the product of the leading axes). A
weight's variance decides whether signals grow or fade from layer to layer: Var(z) = fan_in Var(W) E[x^2].
In a net: Dense(64, W="Xavier"), Dense(64, W=He("uniform")), or in a file W: {type: Normal, std: 0.1}.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from backlit.engine import random
from backlit.errors import DataError, SettingError, ShapeError
from backlit.protocol import Array, Shape
from backlit.settings import NonNegative, Settings


@dataclass(frozen=True)
class Initializer(Settings):
    """Base: draw(key, shape) -> float32 array, a pure function of the key."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def draw(self, key: Array, shape: Shape) -> Array:
        """A parameter of `shape`; `key` (uint32[2]) decides every number."""

    def draw_blocks(self, key: Array, shape: Shape, names: tuple[str, ...]) -> Array:
        """One draw of `shape` for each name (the gates of a recurrent layer), side by side along the last axis."""
        xp = key.__array_namespace__()
        return xp.concat([self.draw(random.fold(key, name), shape) for name in names], axis=-1)


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zero: right for biases; as weights it keeps all units of a layer equal for ever.

    >>> import backlit as bl
    >>> float(bl.initializers.Zeros().draw(bl.random.key(0), (3,)).sum())
    0.0
    """

    def draw(self, key: Array, shape: Shape) -> Array:
        xp = key.__array_namespace__()
        return xp.zeros(shape, dtype=xp.float32)


@dataclass(frozen=True)
class Constant(Initializer):
    """All equal to `value`.

    >>> import backlit as bl
    >>> bl.initializers.Constant(0.5).draw(bl.random.key(0), (2,)).tolist()
    [0.5, 0.5]
    """

    value: float = 0.0

    def draw(self, key: Array, shape: Shape) -> Array:
        xp = key.__array_namespace__()
        return xp.full(shape, self.value, dtype=xp.float32)


@dataclass(frozen=True)
class Normal(Initializer):
    """W ~ N(mean, std^2), whatever the fan: the naive start that fades or explodes in deep nets.

    >>> import backlit as bl
    >>> bl.initializers.Normal(std=0.01).draw(bl.random.key(0), (4, 5)).shape
    (4, 5)
    """

    std: NonNegative = 0.01
    mean: float = 0.0

    def draw(self, key: Array, shape: Shape) -> Array:
        return random.normal(key, shape) * self.std + self.mean


@dataclass(frozen=True)
class Uniform(Initializer):
    """W ~ U[low, high).

    Errors: SettingError when low is above high.

    >>> import backlit as bl
    >>> float(abs(bl.initializers.Uniform(-0.1, 0.1).draw(bl.random.key(0), (9,))).max()) <= 0.1
    True
    """

    low: float = -0.05
    high: float = 0.05

    def check(self) -> None:
        if self.low > self.high:
            raise SettingError([("low", f"expected at most high = {self.high:g}, got {self.low:g}; swap the two")])

    def draw(self, key: Array, shape: Shape) -> Array:
        return random.uniform(key, shape, self.low, self.high)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Base of the initialisers that choose Var(W) from the fans: N(0, Var(W)), or U(-a, a) with a = sqrt(3 Var(W)).

    Others: Keras' and JAX's "normal" forms cut the tails off at two standard deviations; torch's and these do not.
    """

    abstract: ClassVar[bool] = True
    distribution: Literal["uniform", "normal"] = "normal"

    @abstractmethod
    def variance(self, fan_in: float, fan_out: float) -> float:
        """Var(W) for these fans."""

    def draw(self, key: Array, shape: Shape) -> Array:
        std = math.sqrt(self.variance(*fans(shape)))
        if self.distribution == "normal":
            return random.normal(key, shape) * std
        return random.uniform(key, shape, -math.sqrt(3) * std, math.sqrt(3) * std)


@dataclass(frozen=True)
class Xavier(VarianceScaling):
    """Var(W) = 2 / (fan_in + fan_out), or 1 / fan_in with fan="in": for tanh, sigmoid and linear layers. Also: Glorot.

    The average of the two fans keeps both the forward and the backward signal's variance near constant.
    Source: Glorot, Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html

    >>> import backlit as bl
    >>> round(float(bl.initializers.Xavier().draw(bl.random.key(0), (300, 100)).std()), 2)  # sqrt(2 / 400)
    0.07
    """

    aliases: ClassVar[tuple[str, ...]] = ("Glorot",)
    distribution: Literal["uniform", "normal"] = "uniform"
    fan: Literal["average", "in"] = "average"

    def variance(self, fan_in: float, fan_out: float) -> float:
        return 1.0 / fan_in if self.fan == "in" else 2.0 / (fan_in + fan_out)


@dataclass(frozen=True)
class He(VarianceScaling):
    """Var(W) = 2 / fan_in: ReLU passes half of the variance on, the 2 makes up for it. Also: Kaiming, MSRA.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852

    >>> import backlit as bl
    >>> round(float(bl.initializers.He().draw(bl.random.key(0), (200, 100)).std()), 1)  # sqrt(2 / 200)
    0.1
    """

    aliases: ClassVar[tuple[str, ...]] = ("Kaiming", "MSRA")

    def variance(self, fan_in: float, fan_out: float) -> float:
        return 2.0 / fan_in


@dataclass(frozen=True)
class LeCun(VarianceScaling):
    """Var(W) = 1 / fan_in: keeps the forward variance of linear and self-normalising layers.

    Source: LeCun et al. 1998, "Efficient BackProp", section 4.6

    >>> import backlit as bl
    >>> round(float(bl.initializers.LeCun().draw(bl.random.key(0), (400, 50)).std()), 2)  # sqrt(1 / 400)
    0.05
    """

    def variance(self, fan_in: float, fan_out: float) -> float:
        return 1.0 / fan_in


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain Q with orthonormal rows or columns: every singular value is `gain`, so signals keep their length.

    Q of the QR decomposition of a normal matrix (..., O) with the leading axes flattened, signs fixed by R's diagonal.
    Source: Saxe, McClelland, Ganguli 2014, https://arxiv.org/abs/1312.6120

    >>> import numpy as np, backlit as bl
    >>> W = bl.initializers.Orthogonal().draw(bl.random.key(0), (5, 3))
    >>> bool(np.allclose(W.T @ W, np.eye(3), atol=1e-5))
    True
    """

    gain: NonNegative = 1.0

    def draw(self, key: Array, shape: Shape) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal needs a parameter with at least two axes, got {shape}; use Normal or Uniform")
        xp = key.__array_namespace__()
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = xp.linalg.qr(random.normal(key, (max(rows, columns), min(rows, columns))))
        # QR is unique only up to signs: fixed, every orthogonal matrix is equally likely, and the engines agree.
        diagonal = xp.linalg.diagonal(r)
        q = q * xp.where(diagonal < 0, -xp.ones_like(diagonal), xp.ones_like(diagonal))
        return xp.reshape(self.gain * (q if rows >= columns else q.T), shape)


@dataclass(frozen=True)
class FromFile(Initializer):
    """Values from a file: .npy, or the array called `name` in a .npz or .safetensors file: a pre-trained start.

    `name` may be left out when the file holds one array. Nothing in the file is ever unpickled or run.
    Errors: DataError when the file or the array is missing or does not hold finite numbers; ShapeError when its shape
    is not the parameter's.

    >>> import numpy as np, backlit as bl, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "W.npy")
    >>> np.save(path, np.ones((2, 3), "f"))
    >>> bl.initializers.FromFile(path).draw(bl.random.key(0), (2, 3)).shape
    (2, 3)
    """

    path: str
    name: str = ""

    def draw(self, key: Array, shape: Shape) -> Array:
        array = _read(self.path, self.name)
        where = f"{self.path}: {self.name}" if self.name else self.path
        if array.shape != tuple(shape):
            text = f"expected an array of the parameter's shape {tuple(shape)}, got {array.shape}"
            raise ShapeError(f"{where}: {text}; change the layer's units or choose another array")
        if array.dtype.kind not in "biuf":
            raise DataError(f"{where}: expected numbers, got an array of {array.dtype}; save it as float32")
        if not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{where}: expected finite numbers, got {array[index]} at {index}; use an older checkpoint")
        xp = key.__array_namespace__()
        return xp.asarray(array, dtype=xp.float32)

    def draw_blocks(self, key: Array, shape: Shape, names: tuple[str, ...]) -> Array:
        """A file holds all blocks."""
        return self.draw(key, (*shape[:-1], shape[-1] * len(names)))


def fans(shape: Shape) -> tuple[float, float]:
    """(fan_in, fan_out) of a parameter: for a kernel (..., I, O) the leading axes are the receptive field."""
    if len(shape) < 2:
        size = float(max(1, math.prod(shape)))
        return size, size
    field = math.prod(shape[:-2])
    return float(max(1, field * shape[-2])), float(max(1, field * shape[-1]))


def _read(path: str, name: str) -> Any:
    """The array of a file; DataError when there is none to be had."""
    try:
        if path.endswith(".npy"):
            return np.load(path, allow_pickle=False)
        if path.endswith(".npz"):
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        else:
            from safetensors.numpy import load_file

            arrays = load_file(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; FromFile needs a .npy, .npz or .safetensors file") from None
    except Exception as error:
        raise DataError(f"{path}: not a readable .npy, .npz or .safetensors file ({error})") from None
    if not name and len(arrays) == 1:
        return next(iter(arrays.values()))
    if name not in arrays:
        asked = f"an array called {name!r}" if name else "the name of an array"
        raise DataError(f"{path}: expected {asked}, got none; the file holds {', '.join(sorted(arrays)) or 'nothing'}")
    return arrays[name]
