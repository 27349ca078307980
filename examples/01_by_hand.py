"""Back-propagation by hand: two layers, five flowers, every number on the screen.

    python examples/01_by_hand.py

The same step three times: written out in plain NumPy, computed by Backlit's layers on the NumPy engine, and compiled by
XLA. All three give the same numbers. Letters: B = 5 rows, I = 4 inputs, H = 2 hidden units, K = 3 classes.
"""

import numpy as np

import backlit as bl
from backlit.data import Iris, Standardize
from backlit.engine import get, tree

ROWS = [0, 60, 70, 120, 140]  # one setosa, two versicolor, two virginica


def main() -> None:
    np.set_printoptions(precision=4, suppress=True)
    data = Iris().load()
    scale = Standardize()
    x = scale.apply(scale.fit(data.x), data.x)[ROWS]  # (B, I)
    t = data.y[ROWS]  # (B,) integers 0..K-1

    net = bl.Chain(hidden=bl.Dense(2), tanh=bl.Tanh(), out=bl.Dense(3))
    loss = bl.SoftmaxCrossEntropy()
    _, params, state = net.init(bl.random.key(0), x.shape[1:])

    by_hand = step_by_hand(params, x, t)

    # The library does the same, layer by layer. Nothing is hidden in an object: all that was computed comes back.
    value, grads, _, trace = bl.gradient(net, loss, params, state, x, t)
    print("\nThe same from Backlit's layers: the output of each layer, and the error signal that reached it")
    for path, (output, delta) in bl.signals(trace).items():
        print(f"  {path:8} output {shape(output)}   delta {shape(delta)}   |delta| at most {np.abs(delta).max():.4f}")
    library = {
        "L": value,
        **{f"dL/d{path}": g for path, g in tree.flatten(grads).items()},
        "z1": trace.cache.inside["hidden"].here,
        "a1": trace.cache.inside["tanh"].here,
        "z2": trace.cache.here,
        "delta2": trace.deltas.here,
        "delta1": trace.deltas.inside["hidden"].here,
        "dL/dx": trace.dx,
    }
    print(f"largest difference from the lines by hand: {difference(by_hand, library):.1e}")

    # And compiled: the very same Python function, traced once by XLA and turned into machine code.
    xla = get("xla")

    def step(params, state, x, t):
        return bl.gradient(net, loss, params, state, x, t)

    compiled = xla.compile(step)(*xla.place((params, state, x, t)))
    eager = {"L": value, "grads": grads, "trace": trace}
    fast = {"L": compiled[0], "grads": compiled[1], "trace": compiled[3]}
    print(f"largest difference of the compiled step, in any z, a, delta or gradient: {difference(eager, fast):.1e}")

    # What all of it is for: a small step against the gradient makes the loss smaller.
    better = tree.map(lambda w, g: w - 0.5 * g, params, grads)
    after = bl.gradient(net, loss, better, state, x, t)[0]
    print(f"\nw <- w - 0.5 dL/dw: the loss goes from {float(value):.4f} to {float(after):.4f}")


def step_by_hand(params, x: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    """One forward and one backward pass in plain NumPy; every array is printed."""
    W1, b1 = params["hidden"]["W"], params["hidden"]["b"]  # (I, H), (H,)
    W2, b2 = params["out"]["W"], params["out"]["b"]  # (H, K), (K,)
    B = len(x)

    print("FORWARD")
    show("x", x)
    # A unit adds up its weighted inputs: z_h = sum_i x_i W_ih + b_h, for all rows and units at once a matrix product.
    z1 = x @ W1 + b1  # (B, I) @ (I, H) -> (B, H)
    show("z1 = x W1 + b1", z1)
    a1 = np.tanh(z1)  # (B, H)
    show("a1 = tanh(z1)", a1)
    z2 = a1 @ W2 + b2  # (B, H) @ (H, K) -> (B, K)
    show("z2 = a1 W2 + b2", z2)
    # Softmax turns K scores into probabilities; the largest score is subtracted first so that exp cannot overflow.
    e = np.exp(z2 - z2.max(axis=1, keepdims=True))  # (B, K)
    p = e / e.sum(axis=1, keepdims=True)  # (B, K)
    show("p = softmax(z2)", p)
    # The loss is the mean over rows of -ln(probability of the right class).
    L = -np.log(p[np.arange(B), t]).mean()  # ()
    show("L = mean(-ln p[right])", L)

    print("\nBACKWARD: delta is dL/dz, how much the loss grows when a pre-activation grows")
    # ln p_t = z_t - ln sum_k exp(z_k). Its slope by z_k is [k = t] - p_k, so dL/dz2 = (p - one-hot) / B.
    delta2 = (p - np.eye(3, dtype=p.dtype)[t]) / B  # (B, K)
    show("delta2 = (p - onehot(t)) / B", delta2)
    # z2 = a1 W2 + b2. W2_hk meets a1_h of every row, so its gradient sums a1_h delta2_k over rows; b2_k meets 1.
    dW2 = a1.T @ delta2  # (H, B) @ (B, K) -> (H, K)
    db2 = delta2.sum(axis=0)  # (K,)
    show("dL/dW2 = a1^T delta2", dW2)
    show("dL/db2 = sum over rows of delta2", db2)
    # a1_h feeds all K scores, so the error signals come back along the same weights.
    da1 = delta2 @ W2.T  # (B, K) @ (K, H) -> (B, H)
    show("dL/da1 = delta2 W2^T", da1)
    # tanh' = 1 - tanh^2: where a unit is saturated (a close to +-1), almost nothing passes.
    delta1 = da1 * (1 - a1 * a1)  # (B, H)
    show("delta1 = dL/da1 (1 - a1^2)", delta1)
    dW1 = x.T @ delta1  # (I, B) @ (B, H) -> (I, H)
    db1 = delta1.sum(axis=0)  # (H,)
    show("dL/dW1 = x^T delta1", dW1)
    show("dL/db1 = sum over rows of delta1", db1)
    dx = delta1 @ W1.T  # (B, H) @ (H, I) -> (B, I): which inputs the loss looks at
    show("dL/dx = delta1 W1^T", dx)
    return {
        "L": L, "z1": z1, "a1": a1, "z2": z2, "delta2": delta2, "delta1": delta1, "dL/dx": dx,
        "dL/dhidden.W": dW1, "dL/dhidden.b": db1, "dL/dout.W": dW2, "dL/dout.b": db2,
    }  # fmt: skip


def show(name: str, value) -> None:
    print(f"{name}   {shape(value)}")
    print("   ", str(np.asarray(value)).replace("\n", "\n    "))


def shape(value) -> str:
    return str(tuple(np.shape(value)))


def difference(one, other) -> float:
    """The largest difference between two trees of arrays with the same paths."""
    left, right = tree.flatten(one), tree.flatten(other)
    assert left.keys() == right.keys(), "both must hold the same numbers"
    return max(float(np.abs(np.asarray(left[k]) - np.asarray(right[k])).max()) for k in left)


if __name__ == "__main__":
    main()
