"""One loop in LLVM's language for a group: each array is read once, each result written once.

    loop(pointers, begin, end)        elements begin .. end - 1; vectors of 16 numbers, and one by one at the end

Where numbers of a row matter (its largest |x|, a scale), begin and end count rows, and a row has phases: one for each maximum
that the next one needs, the last for all results. Each reads the row again, from the cache next to the core.
"""

import math
from contextlib import nullcontext
from typing import Any

from jax.extend.core import Literal

from backlit.engine.fused.words import WRITERS, Function, Lines, is_largest, rows

WIDTH = 16
"""Numbers in a vector; a CPU with shorter ones takes several."""


class Loop:
    """The loop of a group of steps that take `arrays` and single `numbers`; pointers: to these, then to what they make."""

    def __init__(self, steps: Any, arrays: Any, numbers: Any, made: Any) -> None:
        self.arrays, self.numbers, self.made = arrays, numbers, made
        self.shape = max((a.aval.shape for a in made), key=math.prod)
        self.makers = {step.outvars[0]: step for step in steps}
        self.of_rows = [a for a in (*arrays, *self.makers) if a.aval.shape != self.shape]
        """Values with one number a row."""
        self.phases = self._phases()
        self.last = max(self.phases.values())

    @property
    def width(self) -> int | None:
        """Numbers in a row; None where rows do not matter."""
        return self.shape[-1] if self.of_rows else None

    @property
    def fits(self) -> bool:
        """Whether all values have the shape of the whole, or one number a row."""
        return all(a.aval.shape == rows(self.shape) for a in self.of_rows)

    def _phases(self) -> dict[Any, int]:
        phases: dict[Any, int] = dict.fromkeys((*self.arrays, *self.numbers), 0)
        for a, step in self.makers.items():
            given = [phases[b] for b in step.invars if not isinstance(b, Literal)]
            phases[a] = max(given, default=0) + is_largest(step)
        return phases

    def text(self) -> tuple[str, set[str]]:
        """The body of the function, from its bracket on, and what it uses."""
        f, one = Function(), None
        one, many = Lines(f, 1), Lines(f, WIDTH)
        count = len(self.arrays) + len(self.numbers) + len(self.made)
        self.pointers = [
            f.value(f"load ptr, ptr {f.value(f'getelementptr ptr, ptr %p, i64 {i}')}") for i in range(count)
        ]
        single: dict[Any, str] = {}
        vector: dict[Any, str] = {}
        for i, a in enumerate(self.numbers, len(self.arrays)):
            single[a] = one.load(a.aval.dtype, self.pointers[i], "0")
            vector[a] = many.everywhere(single[a], a.aval.dtype)
        with f.each("%begin", "%end", 1) if self.of_rows else nullcontext("") as row:
            begin, end = "%begin", "%end"
            if self.of_rows:
                begin = f.value(f"mul i64 {row}, {self.width}")
                end = f.value(f"add i64 {begin}, {self.width}")
                for i, a in enumerate(self.arrays):
                    if a in self.of_rows:
                        single[a] = one.load(a.aval.dtype, self.pointers[i], row)
                        vector[a] = many.everywhere(single[a], a.aval.dtype)
            odd = f.value(f"srem i64 {f.value(f'sub i64 {end}, {begin}')}, {WIDTH}")
            whole = f.value(f"sub i64 {end}, {odd}")
            for phase in range(self.last + 1):
                self._rows(f, phase, single, vector)
                self._phase(f, phase, single, vector, begin, whole, end)
            for i, a in enumerate(self.made, len(self.arrays) + len(self.numbers)):
                if a in self.of_rows:
                    one.store(a.aval.dtype, single[a], self.pointers[i], row)
        return "\n".join(["{", "entry:", *f.variables, *f.lines, "ret void", "}", ""]), f.declared

    def _rows(self, f: Function, phase: int, single: dict[Any, str], vector: dict[Any, str]) -> None:
        """The numbers of a row that this phase begins with."""
        one, many = Lines(f, 1), Lines(f, WIDTH)
        for a, step in self.makers.items():
            if a in self.of_rows and self.phases[a] == phase:
                if not is_largest(step):
                    single[a] = self._made(one, step, lambda b: single[b])
                vector[a] = many.everywhere(single[a], a.aval.dtype)

    def _phase(self, f: Function, phase: int, single: Any, vector: Any, begin: str, whole: str, end: str) -> None:
        """The maxima that the next phase needs, or in the last phase the results."""
        ready = [a for a, s in self.makers.items() if is_largest(s) and self.phases[a] == phase + 1]
        sums = [f.name() for _ in ready]
        most = [f.name() for _ in ready]
        for name, vectors in zip(sums, most, strict=True):
            one, many = Lines(f, 1), Lines(f, WIDTH)
            f.variables += [f"{name} = alloca float", f"{vectors} = alloca {many.kind('float32')}"]
            f.lines.append(f"store float {one.constant(0.0, 'float32')}, ptr {name}")
            f.lines.append(f"store {many.kind('float32')} {many.constant(0.0, 'float32')}, ptr {vectors}")
        for out, start, stop, known, places in (
            (Lines(f, WIDTH), begin, whole, vector, most),
            (Lines(f, 1), whole, end, single, sums),
        ):
            with f.each(start, stop, out.width) as i:
                here: dict[Any, str] = {}
                for a, place in zip(ready, places, strict=True):
                    x = out.call("fabs", "float32", self._value(out, self.makers[a].invars[0], i, known, here))
                    kind = out.kind("float32")
                    larger = out.call("maximum", "float32", out.value(f"load {kind}, ptr {place}"), x)
                    f.lines.append(f"store {kind} {larger}, ptr {place}")
                if phase == self.last:
                    results = [(n, a) for n, a in enumerate(self.made) if a not in self.of_rows]
                    values = [(n, a, self._value(out, a, i, known, here)) for n, a in results]
                    for n, a, value in values:
                        out.store(a.aval.dtype, value, self.pointers[len(self.arrays) + len(self.numbers) + n], i)
        for a, name, vectors in zip(ready, sums, most, strict=True):
            one, many = Lines(f, 1), Lines(f, WIDTH)
            kind = many.kind("float32")
            best = one.value(f"load {kind}, ptr {vectors}")
            full = f"@llvm.vector.reduce.fmaximum.v{WIDTH}f32"
            f.declared.add(f"declare float {full}({kind})")
            found = one.value(f"call float {full}({kind} {best})")
            single[a] = one.call("maximum", "float32", found, one.value(f"load float, ptr {name}"))

    def _value(self, out: Lines, a: Any, i: str, known: dict[Any, str], here: dict[Any, str]) -> str:
        """What stands in place i of an array: known, loaded, or made."""
        if a in known:
            return known[a]
        if a not in here:
            if a in self.makers:
                here[a] = self._made(out, self.makers[a], lambda b: self._value(out, b, i, known, here))
            else:
                here[a] = out.load(a.aval.dtype, self.pointers[self.arrays.index(a)], i)
        return here[a]

    def _made(self, out: Lines, step: Any, value: Any) -> str:
        given: list[Any] = step.invars
        values = [out.constant(a.val, a.aval.dtype) if _fixed(a) else value(a) for a in given]
        return WRITERS[step.primitive.name][1](out, step, values)


def _fixed(a: Any) -> bool:
    return isinstance(a, Literal)
