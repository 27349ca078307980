"""The same multi-layer perceptron, the same start, the same batches, trained by Adam in six ways."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sides
from sides import B1, B2, EPSILON, LR


@dataclass(frozen=True)
class Task:
    """Data by name, layer sizes, batch size."""

    data: str
    sizes: tuple[int, ...]
    batch: int

    def experiment(self) -> Any:
        import backlit as bl

        data = bl.load_dataset(self.data) if self.data != "synthetic" else synthetic(self.sizes)
        rows = len(data) - len(data) % self.batch
        x = data.x[:rows].reshape(rows, -1)
        layers = [layer for size in self.sizes[1:-1] for layer in (bl.Dense(size), bl.ReLU())]
        return bl.Experiment(
            data=bl.Arrays(x, data.y[:rows], data.classes), net=bl.Chain(*layers, bl.Dense(self.sizes[-1])),
            loss="SoftmaxCrossEntropy", optimizer=bl.Adam(lr=LR), split=bl.Split(validation=0, test=0, shuffle=False),
            preprocessing=(bl.Scale(1 / 255 if x.dtype == np.uint8 else 1 / 16),), batch_size=self.batch, epochs=10_000,
        )  # fmt: skip


def synthetic(sizes: tuple[int, ...]) -> Any:
    """Rows as MNIST's in shape, for a machine that does not have it."""
    import backlit as bl

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60_000, sizes[0]), dtype=np.uint8)
    return bl.Dataset(x, (x @ rng.normal(size=(sizes[0], sizes[-1]))).argmax(1).astype(np.int32), tuple("0123456789"))


class Side(sides.Side):
    """Rows in the units that the net sees, and the layers' parameters at the start."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.x = np.ascontiguousarray(self.x.astype("f") * np.float32(self.setup.experiment.preprocessing[0].factor))
        names = [f"dense_{i + 1}" for i in range(len(task.sizes) - 1)]
        self.start = [(self.setup.params[n]["W"].copy(), self.setup.params[n]["b"].copy()) for n in names]

    def loss(self) -> float:
        """Mean cross-entropy over all training rows, in float64, of the weights trained so far."""
        a = self.x.astype("d")
        weights = self.weights()
        for i, (W, b) in enumerate(weights):
            a = a @ W.astype("d") + b
            a = np.maximum(a, 0) if i < len(weights) - 1 else a
        a -= a.max(axis=1, keepdims=True)
        return float((np.log(np.exp(a).sum(axis=1)) - a[np.arange(len(a)), self.y]).mean())


class Backlit(sides.Backlit, Side):
    """Ours."""

    def weights(self) -> Any:
        params = self.carry.moving.params
        return [(np.asarray(params[n]["W"]), np.asarray(params[n]["b"])) for n in sorted(params) if params[n]]


class Torch(sides.Torch, Side):
    """PyTorch, eager or compiled."""

    def weights(self) -> Any:
        dense = [m for m in self.net if hasattr(m, "weight")]
        return [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in dense]


class Flax(Side):
    """Flax and Optax, one jitted step at a time with donated state; rows gathered inside the step."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        import flax.linen as nn
        import jax
        import jax.numpy as jnp
        import optax

        class Net(nn.Module):
            @nn.compact
            def __call__(self, x: Any) -> Any:
                for size in task.sizes[1:-1]:
                    x = nn.relu(nn.Dense(size)(x))
                return nn.Dense(task.sizes[-1])(x)

        net, rule = Net(), optax.adam(LR, B1, B2, EPSILON)
        rows, labels = jnp.asarray(self.x), jnp.asarray(self.y)

        def value(params: Any, batch: Any) -> Any:
            logits = net.apply({"params": params}, rows[batch])
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[batch]).mean()

        def update(params: Any, state: Any, batch: Any) -> Any:
            updates, state = rule.update(jax.grad(value)(params, batch), state)
            return optax.apply_updates(params, updates), state

        self.jax, self.update = jax, jax.jit(update, donate_argnums=(0, 1))
        self.params = {
            f"Dense_{i}": {"kernel": jnp.array(W), "bias": jnp.array(b)} for i, (W, b) in enumerate(self.start)
        }
        self.state = rule.init(self.params)

    def advance(self, steps: int) -> None:
        for rows in self.batches(steps):
            self.params, self.state = self.update(self.params, self.state, rows)
        self.jax.block_until_ready(self.params)

    def weights(self) -> Any:
        return [(np.asarray(self.params[k]["kernel"]), np.asarray(self.params[k]["bias"])) for k in sorted(self.params)]


class NumPy(Side):
    """The same by hand in NumPy: BLAS for the products, Adam in place without temporaries that could be avoided."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.params = [a.copy() for pair in self.start for a in pair]
        self.m, self.v = [np.zeros_like(p) for p in self.params], [np.zeros_like(p) for p in self.params]
        self.t, self.work = 0, [np.empty_like(p) for p in self.params]

    def advance(self, steps: int) -> None:
        for rows in self.batches(steps):
            x, labels = self.x[rows], self.y[rows]
            values = [x]
            for i in range(0, len(self.params), 2):
                z = values[-1] @ self.params[i]
                z += self.params[i + 1]
                values.append(np.maximum(z, 0, out=z) if i < len(self.params) - 2 else z)
            p = values[-1]
            p -= p.max(axis=1, keepdims=True)
            np.exp(p, out=p)
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(p)), labels] -= 1
            p /= len(p)
            delta, grads = p, []
            for i in reversed(range(0, len(self.params), 2)):
                a = values[i // 2]
                grads = [a.T @ delta, delta.sum(axis=0), *grads]
                if i:
                    delta = delta @ self.params[i].T
                    delta *= a > 0
            self._adam(grads)

    def _adam(self, grads: list[np.ndarray]) -> None:
        self.t += 1
        root = (1 - B2**self.t) ** 0.5
        size, epsilon = LR * root / (1 - B1**self.t), EPSILON * root
        for p, g, m, v, w in zip(self.params, grads, self.m, self.v, self.work, strict=True):
            m *= B1
            m += np.multiply(g, 1 - B1, out=w)
            v *= B2
            np.multiply(g, g, out=g)
            v += np.multiply(g, 1 - B2, out=w)
            np.sqrt(v, out=w)
            w += epsilon
            np.divide(m, w, out=w)
            p -= np.multiply(w, size, out=w)

    def weights(self) -> Any:
        return list(zip(self.params[::2], self.params[1::2], strict=True))


class ScikitLearn(Side):
    """MLPClassifier.fit on the rows of the next steps in order, warm-started: one pass without shuffling."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        from sklearn.neural_network import MLPClassifier

        self.net = MLPClassifier(task.sizes[1:-1], alpha=0.0, batch_size=task.batch, learning_rate_init=LR, max_iter=1,
                                 shuffle=False, warm_start=True, n_iter_no_change=10**6)  # fmt: skip
        rows = np.concatenate([np.flatnonzero(self.y == k)[: task.batch] for k in range(task.sizes[-1])])[
            : task.batch * 10
        ]
        self._fit(rows)
        self.net.coefs_ = [W.copy() for W, _ in self.start]
        self.net.intercepts_ = [b.copy() for _, b in self.start]
        del self.net._optimizer

    def advance(self, steps: int) -> None:
        self._fit(self.batches(steps).reshape(-1))

    def _fit(self, rows: np.ndarray) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.net.fit(self.x[rows], self.y[rows])

    def weights(self) -> Any:
        return list(zip(self.net.coefs_, self.net.intercepts_, strict=True))


def all_sides(task: Task) -> dict[str, Any]:
    """All six, ours first."""
    return {
        "backlit": (Backlit, (task,)),
        "torch eager, fused Adam": (Torch, (task, False)),
        "torch.compile, fused Adam": (Torch, (task, True)),
        "flax + optax, jit a step": (Flax, (task,)),
        "NumPy by hand": (NumPy, (task,)),
        "scikit-learn MLPClassifier": (ScikitLearn, (task,)),
    }
