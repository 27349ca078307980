"""The function that XLA calls: it has a plan's primitives run on XLA's buffers, in machine code made by LLVM.

XLA hands over a frame of 8-byte words (xla/ffi/api/c_api.h): where arguments, results and attributes lie. The only
attribute is the key of a plan, so no address stands in a compiled program. In words of Python:

    def run(frame):                                   on whichever thread XLA calls it
        if frame.extension is metadata: write the interface's version there
        if frame.stage is execute:
            wait(FREE); cell.frame = frame; post(ASKED)
            wait(DONE); error = cell.error; post(FREE)
            return error

    def serve():                                      on one thread, for ever
        flush denormal numbers to zero, as XLA's threads do; the threads that libgomp starts from here inherit it
        loop: wait(ASKED); cell.error = work(cell.frame); post(DONE)

    def work(frame):
        plan = table[key]; an error when there is none, or when it has other numbers of arguments and results
        for memory, side, number, offset in plan.memories: set_data(memory, frame[side][number].data + offset)
        for primitive, arguments, count in plan.steps: execute(primitive, arguments); an error when that fails

libgomp keeps a team of threads for each thread that ever computed, and XLA computes on any of its own: on n cores that
would grow to n * n threads, and two calls at once would share the cores twice. So one thread does all the work.
"""

import ctypes
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np

from backlit.engine.onednn.code import INT, Code, Word
from backlit.engine.onednn.library import Library, Unavailable

SLOTS = 1 << 12
"""Slots of the table of plans, (key, address) each; a key lies in the first free slot from key % SLOTS on."""

# Words of a frame, of a buffer, of a scalar attribute, of XLA's own functions; what an error is made from.
EXTENSION, API, STAGE = 1, 2, 4
N_ARGUMENTS, ARGUMENTS, N_RESULTS, RESULTS, N_ATTRIBUTES, ATTRIBUTES = 7, 9, 12, 14, 17, 20
BUFFER_DATA, SCALAR_DATA, ERROR_CREATE = 3, 1, 6
METADATA, EXECUTE = 1, 3
ERROR_BYTES, FAILED_PRECONDITION, INTERNAL = 28, 9, 13

HEAD, MEMORY, STEP = 4, 4, 3
"""Words of a plan before its records (numbers of arguments, results, memories, steps), of a memory, and of a step."""

FREE, ASKED, DONE, FRAME, ERROR, CELL = 0, 8, 16, 24, 25, 32
"""Words of the cell that both threads see: three semaphores with room to spare, the frame, the error; its size."""

NO_PLAN = (
    "a compiled program calls a oneDNN plan that this process has not made; BACKLIT_ONEDNN=off does without oneDNN"
)
FAILED = "a oneDNN primitive failed; BACKLIT_ONEDNN=off does without oneDNN"

KEPT: list[Any] = []
"""Machine code and memory that XLA and the thread use until the process ends."""


def start(library: Library, table: int) -> int:
    """Starts the thread; the address of `run`. `table` is where the table of plans lies."""
    import llvmlite.binding as llvm

    libc = ctypes.CDLL(None)
    cell = np.zeros(CELL, dtype=np.int64)
    for semaphore, free in ((FREE, 1), (ASKED, 0), (DONE, 0)):
        libc.sem_init(ctypes.c_void_p(cell.ctypes.data + 8 * semaphore), 0, free)
    where = {
        "table": table,
        "cell": cell.ctypes.data,
        "stream": library.stream,
        "set_data": library.address("dnnl_memory_set_data_handle"),
        "execute": library.address("dnnl_primitive_execute"),
        "sem_wait": ctypes.cast(libc.sem_wait, ctypes.c_void_p).value or 0,
        "sem_post": ctypes.cast(libc.sem_post, ctypes.c_void_p).value or 0,
    }
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(assembly(where, *interface()))
    module.verify()
    code = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    code.finalize_object()
    serve = ctypes.CFUNCTYPE(None)(code.get_function_address("serve"))
    KEPT.append((code, cell))
    threading.Thread(target=serve, name="backlit-onednn", daemon=True).start()
    return int(code.get_function_address("run"))


def interface() -> tuple[int, int]:
    """Version of the interface between XLA and its handlers, from jaxlib's own header."""
    import jax.ffi

    try:
        text = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text()
        major, minor = (int(n) for n in re.findall(r"#define XLA_FFI_API_M(?:AJ|IN)OR (\d+)", text))
    except (OSError, ValueError) as error:
        raise Unavailable(f"the header of XLA's interface cannot be read: {error}") from None
    if major != 0:
        raise Unavailable(f"XLA's interface is {major}.{minor}, not 0")
    return major, minor


def assembly(where: dict[str, int], major: int, minor: int) -> str:
    """The functions in LLVM's language, with the addresses of what they use."""
    return "\n".join(written.text() for written in (_work(where), _serve(where), _run(where, major, minor)))


def _run(where: dict[str, int], major: int, minor: int) -> Code:
    c, frame, cell = Code("run", 1), "%a0", where["cell"]
    answer_questions(c, frame, major, minor)
    _wait(c, where, FREE)
    c.put(frame, cell, FRAME)
    _post(c, where, ASKED)
    _wait(c, where, DONE)
    error = c.get(cell, ERROR)
    _post(c, where, FREE)
    c.give_back(error)
    return c


def answer_questions(c: Code, frame: str, major: int, minor: int) -> None:
    """What XLA asks a handler before it has anything to do: the version of its interface; other stages than to execute."""
    extension = c.get(frame, EXTENSION)
    with c.when(extension, "ne", 0):  # its words: size, kind, the next one, metadata
        with c.when(c.get(extension, 1, INT), "eq", METADATA, INT):
            metadata = c.get(extension, 3)  # its words: size, then of the version size, extension, two ints; an int
            c.put(major | minor << 32, metadata, 3)
            c.put(0, metadata, 4, INT)
        c.give_back(0)
    with c.when(c.get(frame, STAGE, INT), "ne", EXECUTE, INT):
        c.give_back(0)


def _serve(where: dict[str, int]) -> Code:
    c, cell = Code("serve"), where["cell"]
    c.flush_denormals()
    with c.loop():
        _wait(c, where, ASKED)
        c.put(c.value(f"call i64 @work(i64 {c.get(cell, FRAME)})"), cell, ERROR)
        _post(c, where, DONE)
    return c


def _work(where: dict[str, int]) -> Code:
    c, frame = Code("work", 1), "%a0"
    with c.when(c.get(frame, N_ATTRIBUTES), "ne", 1):
        _fail(c, NO_PLAN, FAILED_PRECONDITION)
    key = c.get(c.get(c.get(c.get(frame, ATTRIBUTES)), SCALAR_DATA))
    slot = c.room(1)
    c.put(key, slot)
    with c.loop() as search:
        number = c.value(f"and i64 {c.get(slot)}, {SLOTS - 1}")
        entry = c.at(where["table"], c.value(f"mul i64 {number}, 2"))
        held = c.get(entry)
        with c.when(held, "eq", 0):
            _fail(c, NO_PLAN, FAILED_PRECONDITION)
        with c.when(held, "eq", key):
            c.leave(search)
        c.put(c.value(f"add i64 {number}, 1"), slot)

    plan = c.get(entry, 1)
    arguments, results, memories, steps = (c.get(plan, i) for i in range(HEAD))
    for expected, index in ((arguments, N_ARGUMENTS), (results, N_RESULTS)):
        with c.when(expected, "ne", c.get(frame, index)):
            _fail(c, NO_PLAN, FAILED_PRECONDITION)
    records = c.at(plan, HEAD)
    with c.each(records, memories, MEMORY) as record:
        memory, side, number, offset = (c.get(record, i) for i in range(MEMORY))
        data = c.get(c.get(c.get(frame, side), number), BUFFER_DATA)
        c.run(where["set_data"], memory, c.value(f"add i64 {data}, {offset}"), result=INT)
    with c.each(c.at(records, c.value(f"mul i64 {memories}, {MEMORY}")), steps, STEP) as record:
        primitive, given, count = (c.get(record, i) for i in range(STEP))
        with c.when(c.run(where["execute"], primitive, where["stream"], count, given, result=INT), "ne", 0, INT):
            _fail(c, FAILED, INTERNAL)
    c.give_back(0)
    return c


def _fail(c: Code, text: str, code: int) -> None:
    """Ends the function with an error of XLA's."""
    made_from = c.room(4)
    words: tuple[Word, ...] = ERROR_BYTES, 0, c.string(f"backlit: {text}"), code
    for i, word in enumerate(words):
        c.put(word, made_from, i)
    c.give_back(c.run(c.get(c.get("%a0", API), ERROR_CREATE), made_from))


def _wait(c: Code, where: dict[str, int], semaphore: int) -> None:
    with c.loop() as woken:  # by a signal too, with -1
        status = c.run(where["sem_wait"], where["cell"] + 8 * semaphore, result=INT)
        with c.when(status, "eq", 0, INT):
            c.leave(woken)


def _post(c: Code, where: dict[str, int], semaphore: int) -> None:
    c.run(where["sem_post"], where["cell"] + 8 * semaphore, result=INT)
