"""784-256-128-10 on MNIST with Adam, batch 32, 128, 512: steps a second against five others, same final loss.

    python benchmarks/mlp.py [--rounds 7] [--batches 32 128 512]

Run it alone: a busy machine measures itself. BACKLIT_DATA names the directory that holds mnist/; without it the rows are
random numbers of the same shape.
"""

import argparse
import time
from itertools import pairwise

import dense_sides
import harness
import numpy as np

from backlit.data import find
from backlit.errors import BacklitError

SIZES = (784, 256, 128, 10)
WANTED = {32: (2.5, 1.1), 128: (1.5, 1.1), 512: (1.15, 1.1)}
TORCH = ["torch eager, fused Adam", "torch.compile, fused Adam"]


def flops(batch: int) -> float:
    """Multiplications and additions of a step: forward, dW and dx products; dx of the first layer is not needed."""
    products = [a * b for a, b in pairwise(SIZES)]
    return 2.0 * batch * (3 * sum(products) - products[0])


class Products:
    """The machine's matrix-product rate at 1024^3 in float32 by XLA: what a step's share is taken of."""

    def __init__(self) -> None:
        from backlit import engine

        self.engine = engine.get("xla")
        self.a = self.engine.asarray(np.ones((1024, 1024), "f"))
        self.run = self.engine.compile(lambda a: a @ a)

    def rate(self) -> float:
        """Floating-point operations a second, the best of 20."""
        self.engine.ready(self.run(self.a))
        spent = []
        for _ in range(20):
            begin = time.perf_counter()
            self.engine.ready(self.run(self.a))
            spent.append(time.perf_counter() - begin)
        return 2 * 1024**3 / min(spent)

    def advance(self, steps: int) -> None:
        """Nothing: this side only measures a rate."""

    def loss(self) -> float:
        return self.rate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128, 512])
    args = parser.parse_args()
    try:
        find("mnist/train-images-idx3-ubyte.gz")
        data = "mnist"
    except BacklitError:
        data = "synthetic"
    peak = harness.race({"rate": (Products, ())}, 1, 1, 0)["rate"]["loss"]
    print(f"{harness.machine()}\nmatrix products: {peak / 1e9:.0f} GF/s")
    results = {}
    for batch in args.batches:
        steps = {32: 1200, 128: 600, 512: 200}.get(batch, 300)
        found = harness.race(dense_sides.all_sides(dense_sides.Task(data, SIZES, batch)), steps, args.rounds)
        print("\n" + harness.table(f"{data}, batch {batch}, {steps} steps a round, {args.rounds} rounds", found))
        ours = found["backlit"]["rates"]
        torch = harness.paired(ours, found[harness.best(found, TORCH)]["rates"])
        rest = harness.best(found, [n for n in found if n != "backlit"])
        every = harness.paired(ours, found[rest]["rates"])
        share = found["backlit"]["median"] * flops(batch) / peak
        wanted = WANTED.get(batch, (1.0, 1.0))
        print(f"against the best torch {torch:.2f} (wanted {wanted[0]}), against the best of all ({rest}) {every:.2f} "
              f"(wanted {wanted[1]}); {share:.0%} of the matrix-product rate")  # fmt: skip
        results[str(batch)] = {"sides": found, "against_torch": torch, "against_all": every, "share": share}
    print("\nwritten:", harness.store("mlp", {"data": data, "sizes": SIZES, "peak": peak, "batches": results}))


if __name__ == "__main__":
    main()
