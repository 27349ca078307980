"""Damage thousands of checkpoints; every one must be rejected by name, and the newest good one must be found.

python tests/torture/corrupt.py --count 4500 [--seed 0]
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))
from torture.damage import DAMAGES, attempt, good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, table, slowest = Random(options.seed), {d.__name__: Counter[str]() for d in DAMAGES}, 0.0
    with tempfile.TemporaryDirectory() as name:
        source, room = Path(name) / "source", Path(name) / "room"
        good(source, 10)
        good(source, 20)
        for i in range(options.count):
            damage = DAMAGES[i % len(DAMAGES)]
            began = time.perf_counter()
            table[damage.__name__][attempt(rng, damage, source, room)] += 1
            slowest = max(slowest, time.perf_counter() - began)
            shutil.rmtree(room)
    failures = [f"{verdict} ({n} times)" for found in table.values() for verdict, n in found.items() if " " in verdict]
    accepted = sum(n for found in table.values() for verdict, n in found.items() if " " in verdict)
    print(f"{'damage':20} {'rejected':>8}  reasons")
    for damage_name, found in table.items():
        rejected = sum(n for verdict, n in found.items() if " " not in verdict)
        print(f"{damage_name:20} {rejected:8}  {', '.join(f'{r} {n}' for r, n in sorted(found.items()))}")
    print(f"{options.count} damaged, {options.count - accepted} rejected with a named error and fallen back from, "
          f"slowest {slowest:.3f} s (copy and both loads)")  # fmt: skip
    print(*failures, sep="\n", end="\n" if failures else "")
    return 1 if failures or slowest > 1.0 else 0


if __name__ == "__main__":
    sys.exit(main())
