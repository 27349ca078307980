"""64-32-10 on scikit-learn's digits with Adam, batch 32: where the cost of a call decides, not the arithmetic.

python benchmarks/small.py [--rounds 7]
"""

import argparse

import dense_sides
import harness

WANTED = 8.0
OTHERS = ["torch eager, fused Adam", "torch.compile, fused Adam", "scikit-learn MLPClassifier"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    found = harness.race(dense_sides.all_sides(dense_sides.Task("digits", (64, 32, 10), 32)), 4000, args.rounds)
    print(f"{harness.machine()}\n\n{harness.table('digits, 64-32-10, batch 32, 4000 steps a round', found)}")
    best = harness.best(found, OTHERS)
    ratio = harness.paired(found["backlit"]["rates"], found[best]["rates"])
    print(f"against the best of torch and scikit-learn ({best}): {ratio:.1f} (wanted {WANTED:.0f})")
    print("written:", harness.store("small", {"sides": found, "against_best": ratio}))


if __name__ == "__main__":
    main()
