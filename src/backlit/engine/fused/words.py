"""The instructions of LLVM for steps that go element by element, on vectors or on single numbers.

Products and sums are contracted to one rounding as XLA's own code on a CPU is, so both mostly have the same bits.
Source: LLVM language reference, https://llvm.org/docs/LangRef.html
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from jax.extend.core import Literal

TYPES = {"float32": "float", "uint32": "i32", "uint16": "i16", "bool": "i1"}
"""What holds such numbers."""

FLOATS = {"add": "fadd contract", "sub": "fsub contract", "mul": "fmul contract", "div": "fdiv contract"}
RELATIONS = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
FUNCTIONS = {"sqrt": "sqrt", "abs": "fabs", "max": "maximum", "min": "minimum"}
WHOLE = {"add": "add", "sub": "sub", "mul": "mul"}
LOGIC = {"and": "and", "or": "or", "xor": "xor"}
SHIFTS = {"shift_left": "shl", "shift_right_logical": "lshr"}

CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")
"""Steps that are nothing but a program of their own."""

LARGEST = "largest_in_rows"
"""The name of the call that gives the largest |x| of each row, (..., K) -> (..., 1)."""


def knows(step: Any) -> bool:
    """Whether a loop can compute this step."""
    name, made = step.primitive.name, step.outvars[0].aval if len(step.outvars) == 1 else None
    if made is None or not getattr(made, "shape", ()) or made.dtype.name not in TYPES:
        return False
    if any(a.aval.dtype.name not in TYPES for a in step.invars):
        return False
    if is_largest(step):
        return bool(made.dtype == np.float32)
    if name == "broadcast_in_dim" and len(step.invars) == 1 and step.invars[0].aval.shape:
        before, axes = step.invars[0].aval.shape, step.params["broadcast_dimensions"]
        return before == rows(made.shape) and tuple(axes) == tuple(range(len(before)))
    if name not in WRITERS or any(a.aval.shape not in ((), made.shape, rows(made.shape)) for a in step.invars):
        return False
    return WRITERS[name][0](step)


def is_largest(step: Any) -> bool:
    """Whether the step is the largest |x| of each row."""
    return bool(step.primitive.name in CALLS and step.params.get("name") == LARGEST)


def rows(shape: Any) -> tuple[int, ...]:
    """The shape of one number a row."""
    return (*shape[:-1], 1)


class Function:
    """A function of LLVM while it is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.variables: list[str] = []
        self.declared: set[str] = set()
        self.block = "entry"
        self.names = 0

    def name(self, prefix: str = "%v") -> str:
        """A new one."""
        self.names += 1
        return f"{prefix}{self.names}"

    def value(self, instruction: str) -> str:
        """The value that an instruction makes."""
        self.lines.append(f"{(name := self.name())} = {instruction}")
        return name

    def place(self, label: str) -> None:
        """What follows is a block of this name."""
        self.lines.append(f"{label}:")
        self.block = label

    @contextmanager
    def each(self, start: str, stop: str, width: int) -> Iterator[str]:
        """What is written within runs for i = start, start + width, ... below stop."""
        body, after, index, before = self.name("b"), self.name("b"), self.name(), self.block
        some = self.value(f"icmp slt i64 {start}, {stop}")
        self.lines.append(f"br i1 {some}, label %{body}, label %{after}")
        self.place(body)
        first = len(self.lines)
        yield index
        more = self.value(f"add i64 {index}, {width}")
        self.lines.insert(first, f"{index} = phi i64 [ {start}, %{before} ], [ {more}, %{self.block} ]")
        again = self.value(f"icmp slt i64 {more}, {stop}")
        self.lines.append(f"br i1 {again}, label %{body}, label %{after}")
        self.place(after)


class Lines:
    """Instructions for vectors of `width` numbers, or for one number where it is 1."""

    def __init__(self, function: Function, width: int) -> None:
        self.function, self.width = function, width

    def kind(self, dtype: Any) -> str:
        """LLVM's name of what holds such numbers."""
        plain = TYPES[np.dtype(dtype).name]
        return plain if self.width == 1 else f"<{self.width} x {plain}>"

    def value(self, instruction: str) -> str:
        """The value that an instruction makes."""
        return self.function.value(instruction)

    def call(self, name: str, dtype: Any, *values: str) -> str:
        """llvm.name of numbers of one kind."""
        kind, plain = self.kind(dtype), TYPES[np.dtype(dtype).name].replace("float", "f32")
        full = f"@llvm.{name}.{plain if self.width == 1 else f'v{self.width}{plain}'}"
        self.function.declared.add(f"declare {kind} {full}({', '.join([kind] * len(values))})")
        return self.value(f"call {kind} {full}({', '.join(f'{kind} {v}' for v in values)})")

    def constant(self, number: Any, dtype: Any) -> str:
        """A number, in each place of a vector."""
        if np.dtype(dtype) == np.bool_:
            text = "true" if number else "false"
        elif np.dtype(dtype) == np.float32:
            text = f"0x{np.float64(np.float32(number)).view(np.uint64):016X}"
        else:
            text = str(int(number))
        return text if self.width == 1 else f"<{', '.join([f'{TYPES[np.dtype(dtype).name]} {text}'] * self.width)}>"

    def everywhere(self, value: str, dtype: Any) -> str:
        """A vector with this number in each place."""
        if self.width == 1:
            return value
        kind = self.kind(dtype)
        one = self.value(f"insertelement {kind} poison, {TYPES[np.dtype(dtype).name]} {value}, i64 0")
        return self.value(f"shufflevector {kind} {one}, {kind} poison, <{self.width} x i32> zeroinitializer")

    def load(self, dtype: Any, pointer: str, index: str) -> str:
        """The numbers from `index` on; a truth value is a byte there."""
        memory, size = self._memory(dtype), np.dtype(dtype).itemsize
        at = self.value(f"getelementptr {self._plain(dtype)}, ptr {pointer}, i64 {index}")
        found = self.value(f"load {memory}, ptr {at}, align {size}")
        return self.value(f"trunc {memory} {found} to {self.kind(dtype)}") if size == 1 else found

    def store(self, dtype: Any, value: str, pointer: str, index: str) -> None:
        """Writes them there."""
        memory, size = self._memory(dtype), np.dtype(dtype).itemsize
        if size == 1:
            value = self.value(f"zext {self.kind(dtype)} {value} to {memory}")
        at = self.value(f"getelementptr {self._plain(dtype)}, ptr {pointer}, i64 {index}")
        self.function.lines.append(f"store {memory} {value}, ptr {at}, align {size}")

    def _memory(self, dtype: Any) -> str:
        plain = self._plain(dtype)
        return plain if self.width == 1 else f"<{self.width} x {plain}>"

    def _plain(self, dtype: Any) -> str:
        return "i8" if np.dtype(dtype) == np.bool_ else TYPES[np.dtype(dtype).name]


def _operator(out: Lines, step: Any, values: list[str]) -> str:
    dtype, name = step.outvars[0].aval.dtype, step.primitive.name
    known = FLOATS if dtype == np.float32 else WHOLE
    return out.value(f"{known[name]} {out.kind(dtype)} {values[0]}, {values[1]}")


def _logic(out: Lines, step: Any, values: list[str]) -> str:
    known = {**LOGIC, **SHIFTS}[step.primitive.name]
    return out.value(f"{known} {out.kind(step.outvars[0].aval.dtype)} {values[0]}, {values[1]}")


def _relation(out: Lines, step: Any, values: list[str]) -> str:
    kind = out.kind("float32")
    return out.value(f"fcmp {RELATIONS[step.primitive.name]} {kind} {values[0]}, {values[1]}")


def _function(out: Lines, step: Any, values: list[str]) -> str:
    dtype, name = step.outvars[0].aval.dtype, step.primitive.name
    return out.call(FUNCTIONS[name] if dtype == np.float32 else f"u{name}", dtype, *values)


def _sign(out: Lines, step: Any, values: list[str]) -> str:
    """1 with x's sign; x itself where it is 0 or NaN."""
    (x,), kind, flags = values, out.kind("float32"), out.kind("bool")
    other = out.value(f"fcmp one {kind} {x}, {out.constant(0.0, 'float32')}")
    signed = out.call("copysign", "float32", out.constant(1.0, "float32"), x)
    return out.value(f"select {flags} {other}, {kind} {signed}, {kind} {x}")


def _select(out: Lines, step: Any, values: list[str]) -> str:
    which, no, yes = values
    kind = out.kind(step.outvars[0].aval.dtype)
    return out.value(f"select {out.kind('bool')} {which}, {kind} {yes}, {kind} {no}")


def _converted(out: Lines, step: Any, values: list[str]) -> str:
    before, after = step.invars[0].aval.dtype, step.outvars[0].aval.dtype
    if before == after:
        return values[0]
    return out.value(f"{CONVERSIONS[before.name, after.name]} {out.kind(before)} {values[0]} to {out.kind(after)}")


def _bits(out: Lines, step: Any, values: list[str]) -> str:
    before, after = step.invars[0].aval.dtype, step.outvars[0].aval.dtype
    return out.value(f"bitcast {out.kind(before)} {values[0]} to {out.kind(after)}")


def _power(out: Lines, step: Any, values: list[str]) -> str:
    kind, power = out.kind("float32"), values[0]
    for _ in range(step.params["y"] - 1):
        power = out.value(f"fmul contract {kind} {power}, {values[0]}")
    return power


def _of(*names: str) -> Callable[[Any], bool]:
    """Whether all numbers are of one of these kinds."""
    return lambda step: len({a.aval.dtype for a in step.invars}) == 1 and step.invars[0].aval.dtype.name in names


def _selects(step: Any) -> bool:
    return len(step.invars) == 3 and bool(step.invars[0].aval.dtype == np.bool_)


def _converts(step: Any) -> bool:
    before, after = step.invars[0].aval.dtype.name, step.outvars[0].aval.dtype.name
    return before == after or (before, after) in CONVERSIONS


def _shifts(step: Any) -> bool:
    by = step.invars[1]
    return _of("uint32")(step) and isinstance(by, Literal) and 0 <= int(by.val) < 32


def _bitwise(step: Any) -> bool:
    return {a.aval.dtype.name for a in (*step.invars, *step.outvars)} == {"float32", "uint32"}


CONVERSIONS = {("bool", "float32"): "uitofp", ("uint16", "uint32"): "zext", ("uint32", "uint16"): "trunc"}

Writer = tuple[Callable[[Any], bool], Callable[[Lines, Any, list[str]], str]]

WRITERS: dict[str, Writer] = {
    **dict.fromkeys(WHOLE, (_of("float32", "uint32"), _operator)),
    "div": (_of("float32"), _operator),
    **dict.fromkeys(LOGIC, (_of("bool", "uint32"), _logic)),
    **dict.fromkeys(SHIFTS, (_shifts, _logic)),
    **dict.fromkeys(RELATIONS, (_of("float32"), _relation)),
    **dict.fromkeys(("sqrt", "abs"), (_of("float32"), _function)),
    **dict.fromkeys(("max", "min"), (_of("float32", "uint32"), _function)),
    "sign": (_of("float32"), _sign),
    "neg": (_of("float32"), lambda out, _, v: out.value(f"fneg {out.kind('float32')} {v[0]}")),
    "square": (_of("float32"), lambda out, _, v: out.value(f"fmul contract {out.kind('float32')} {v[0]}, {v[0]}")),
    "integer_pow": (lambda step: _of("float32")(step) and step.params["y"] in (1, 2, 3), _power),
    "select_n": (_selects, _select),
    "convert_element_type": (_converts, _converted),
    "bitcast_convert_type": (_bitwise, _bits),
    "broadcast_in_dim": (lambda step: len(step.invars) == 1, lambda out, step, v: v[0]),
    "copy": (lambda step: True, lambda out, step, v: v[0]),
}
"""For each step: whether a loop can compute it, and its instructions."""
