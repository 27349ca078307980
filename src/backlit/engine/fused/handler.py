"""What XLA calls: the loops of all groups of a call, over pieces of their arrays, on XLA's own threads. In words of Python:

    def run(frame):                                   on whichever thread XLA calls it
        if frame.extension is metadata: write the interface's version there
        if frame.stage is execute:
            job = (next = 0, done = 0, holders = 1 + others, pointers)       on the heap
            job.pointers = for each group the data of its arguments and its results
            ask XLA's threads to help: as many of them as there are other threads, or pieces
            work(job); wait until job.done == PIECES; release(job)

    def help(job): work(job); release(job)            one that comes when all is done finds no piece

    def work(job):
        while (i := job.next++) < PIECES:
            loop, first, begin, end = table[i]
            loop(job.pointers + first, begin, end); job.done++

    def release(job): free it where nobody else holds it

Who waits has no piece of its own left, and every other piece is in the hands of a thread that computes: nobody waits for
ever, however few threads XLA has. One call for all groups, since it comes after the last gradient: then nobody reads the old
parameters any more, and XLA need not copy them. A handler is named by the hash of what it computes, so no address stands in
a compiled program.
"""

import ctypes
import hashlib
import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from backlit.engine.onednn.code import Code, Word
from backlit.engine.onednn.handler import (
    API,
    ARGUMENTS,
    BUFFER_DATA,
    RESULTS,
    answer_questions,
    interface,
)

log = logging.getLogger("backlit")

PIECE = 1 << 14
"""Numbers of an array that a thread takes at once; a multiple of loop.WIDTH."""

ALONE = 1 << 14
"""Numbers in a call up to which one thread does it all."""

CONTEXT, SCHEDULE, THREADS, DESTROY = 3, 17, 18, 8
"""Words of a frame, and of XLA's functions: a task for its threads, their number, the end of an error."""

SCHEDULE_BYTES, THREADS_BYTES, DESTROY_BYTES = 40, 32, 24

NEXT, DONE, HOLDERS, POINTERS = 0, 8, 16, 24
"""Words of a job; what several threads write has a line of the cache each."""

ROW = 4
"""Words of a piece in the table: which loop, its first pointer, begin and end."""

_lock = threading.Lock()
_made: dict[str, Any] = {}
"""Machine code and tables by name, kept until the process ends."""


class Layout(NamedTuple):
    """The loops, and the tables that say which pieces of which arrays they run on."""

    loops: tuple[str, ...]
    declared: frozenset[str]
    pieces: Any  # rows of the table
    pointers: Any  # for each pointer of a job: which argument, or the number of arguments + which result
    numbers: int  # of all arrays together


def call(wanted: Any, values: list[Any]) -> list[Any]:
    """The results of a groups.Call."""
    shapes = [jax.ShapeDtypeStruct(a.aval.shape, a.aval.dtype) for a in wanted.made]
    name = target(len(values), len(shapes), layout(wanted))
    return list(jax.ffi.ffi_call(name, shapes, input_output_aliases=wanted.shared)(*values))


def layout(wanted: Any) -> Layout:
    """Groups with the same formula have one loop."""
    slots = {a: i for i, a in enumerate((*wanted.given, *wanted.made))}
    loops: dict[str, int] = {}
    declared: set[str] = set()
    pieces: list[tuple[int, ...]] = []
    pointers: list[int] = []
    for group in wanted.groups:
        text, uses = group.loop.text()
        declared |= uses
        width, which = group.loop.width, loops.setdefault(text, len(loops))
        n = math.prod(group.loop.shape) // (width or 1)
        size = max(1, PIECE // (width or 1))
        pieces += [(which, len(pointers), i, min(n, i + size)) for i in range(0, n, size)]
        pointers += [slots[a] for a in (*group.arrays, *group.numbers, *group.made)]
    tables = np.array(pieces, np.int64).reshape(-1, ROW), np.array(pointers, np.int64)
    return Layout(tuple(loops), frozenset(declared), *tables, sum(math.prod(g.loop.shape) for g in wanted.groups))


def target(given: int, made: int, plan: Layout) -> str:
    """The name by which XLA calls these loops."""
    version = interface()
    form = repr((given, made, sorted(plan.declared), plan.loops, version, PIECE, ALONE, POINTERS)).encode()
    name = f"backlit_{hashlib.sha256(form + plan.pieces.tobytes() + plan.pointers.tobytes()).hexdigest()[:32]}"
    with _lock:
        if name not in _made:
            functions = [_release(), _work(plan), _help(), _run(given, made, plan, *version)]
            loops = [
                f"define internal void @loop{i}(ptr %p, i64 %begin, i64 %end) {text}"
                for i, text in enumerate(plan.loops)
            ]
            code = compiled("\n".join([*sorted(plan.declared), *loops, *(f.text() for f in functions)]))
            run = ctypes.c_void_p(code.get_function_address("run"))
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(run), platform="cpu")
            _made[name] = code, plan
    return name


def compiled(text: str) -> Any:
    """Machine code for this CPU."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    passes, builder = (
        llvm.create_new_function_pass_manager(),
        llvm.create_pass_builder(machine, llvm.PipelineTuningOptions()),
    )
    passes.add_sroa_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    code = llvm.create_mcjit_compiler(module, machine)
    code.finalize_object()
    return code


def _run(given: int, made: int, plan: Layout, major: int, minor: int) -> Code:
    c, frame = Code("run", 1), "%a0"
    answer_questions(c, frame, major, minor)
    c.constants += ["declare ptr @malloc(i64)", "declare i32 @sched_yield()"]
    job = c.value(f"ptrtoint ptr {c.value(f'call ptr @malloc(i64 {8 * (POINTERS + len(plan.pointers))})')} to i64")
    data = c.room(given + made)
    for side, first, number in ((ARGUMENTS, 0, given), (RESULTS, given, made)):
        buffers, there = c.get(frame, side), c.at(data, first)
        with _each(c, number) as i:
            c.put(c.get(c.get(buffers, i), BUFFER_DATA), there, i)
    pointers = c.at(job, POINTERS)
    with _each(c, len(plan.pointers)) as i:
        c.put(c.get(data, c.get(plan.pointers.ctypes.data, i)), pointers, i)

    pieces, api, context = len(plan.pieces), c.get(frame, API), c.get(frame, CONTEXT)
    threads = c.room(1)
    c.put(1, threads)
    if pieces > 1 and plan.numbers > ALONE:
        asked = c.room(4)
        _put(c, asked, THREADS_BYTES, 0, context, threads)
        _ended(c, api, c.run(c.get(api, THREADS), asked))
    most = _smaller(c, c.get(threads), str(pieces))
    c.put(0, job, NEXT)
    c.put(0, job, DONE)
    c.put(most, job, HOLDERS)
    task = c.room(5)
    _put(c, task, SCHEDULE_BYTES, 0, context, c.value("ptrtoint ptr @help to i64"), job)
    with _each(c, c.value(f"sub i64 {most}, 1")):
        error = c.run(c.get(api, SCHEDULE), task)
        with c.when(error, "ne", 0):  # this one will not come
            _ended(c, api, error)
            c.value(f"call i64 @release(i64 {job})")
    c.value(f"call i64 @work(i64 {job})")
    with c.loop() as waiting:
        done = c.value(f"load atomic i64, ptr {_at(c, job, DONE)} acquire, align 8")
        with c.when(done, "eq", pieces):
            c.leave(waiting)
        c.value("call i32 @sched_yield()")
    c.value(f"call i64 @release(i64 {job})")
    c.give_back(0)
    return c


def _help() -> Code:
    c = Code("help", 1)
    c.value("call i64 @work(i64 %a0)")
    c.value("call i64 @release(i64 %a0)")
    c.give_back(0)
    return c


def _work(plan: Layout) -> Code:
    c, job, pieces = Code("work", 1), "%a0", len(plan.pieces)
    pointers = c.at(job, POINTERS)
    with c.loop() as working:
        i = c.value(f"atomicrmw add ptr {_at(c, job, NEXT)}, i64 1 acq_rel")
        with c.when(_smaller(c, i, str(pieces)), "eq", pieces):
            c.leave(working)
        row = c.at(plan.pieces.ctypes.data, c.value(f"mul i64 {i}, {ROW}"))
        which, first, begin, end = (c.get(row, word) for word in range(ROW))
        for number in range(len(plan.loops)):
            with c.when(which, "eq", number):
                c.lines.append(f"call void @loop{number}(ptr {_at(c, pointers, first)}, i64 {begin}, i64 {end})")
        c.value(f"atomicrmw add ptr {_at(c, job, DONE)}, i64 1 acq_rel")
    c.give_back(0)
    return c


def _release() -> Code:
    c, job = Code("release", 1), "%a0"
    c.constants.append("declare void @free(ptr)")
    with c.when(c.value(f"atomicrmw sub ptr {_at(c, job, HOLDERS)}, i64 1 acq_rel"), "eq", 1):
        c.lines.append(f"call void @free(ptr {_at(c, job, 0)})")
    c.give_back(0)
    return c


@contextmanager
def _each(c: Code, count: Word) -> Iterator[str]:
    """What is written within runs for i = 0 .. count - 1."""
    i = c.room(1)
    c.put(0, i)
    with c.loop() as loop:
        number = c.get(i)
        with c.when(number, "eq", count):
            c.leave(loop)
        yield number
        c.put(c.value(f"add i64 {number}, 1"), i)


def _ended(c: Code, api: str, error: str) -> None:
    """Lets an error of XLA's go, if it is one."""
    with c.when(error, "ne", 0):
        given = c.room(3)
        _put(c, given, DESTROY_BYTES, 0, error)
        c.run(c.get(api, DESTROY), given)


def _put(c: Code, address: str, *words: Word) -> None:
    for i, word in enumerate(words):
        c.put(word, address, i)


def _smaller(c: Code, a: str, b: str) -> str:
    return c.value(f"select i1 {c.value(f'icmp ult i64 {a}, {b}')}, i64 {a}, i64 {b}")


def _at(c: Code, address: str, index: Word) -> str:
    return c.value(f"inttoptr i64 {c.at(address, index)} to ptr")
