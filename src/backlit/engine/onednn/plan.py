"""Plans: which primitives run on which of XLA's buffers, as the handler reads them; and the table of all plans."""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backlit.engine.onednn import handler
from backlit.engine.onednn.library import DST, SCRATCHPAD, SRC, Library, Unavailable

LINE = 64
"""Bytes to which memories in the scratch are aligned."""


@dataclass(frozen=True)
class Memory:
    """A memory object of oneDNN, how it is laid out, and which of XLA's buffers it looks at."""

    object: int
    layout: int
    side: int
    index: int
    offset: int = 0


@dataclass
class Plan:
    """A plan while it is written. Buffers are numbered as XLA's are; scratch memory is one more result, the last."""

    library: Library
    arguments: int = 0
    results: int = 0
    scratch: int = 0
    memories: list[Memory] = field(default_factory=list)
    steps: list[tuple[int, int, int]] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    def argument(self, layout: int) -> Memory:
        """The memory that is the next argument."""
        self.arguments += 1
        return self._memory(layout, handler.ARGUMENTS, self.arguments - 1)

    def result(self, layout: int) -> Memory:
        """The memory that is the next result."""
        self.results += 1
        return self._memory(layout, handler.RESULTS, self.results - 1)

    def room(self, layout: int) -> Memory:
        """A memory within the scratch."""
        offset = self.scratch
        self.scratch += -(-self.library.size(layout) // LINE) * LINE
        return self._memory(layout, handler.RESULTS, -1, offset)

    def reordered(self, memory: Memory, layout: int) -> Memory:
        """The memory in another layout; itself where it lies so already."""
        if self.library.same(memory.layout, layout):
            return memory
        made = self.room(layout)
        self.reorder(memory, made)
        return made

    def reorder(self, source: Memory, target: Memory) -> None:
        """One more step: a memory copied into another layout."""
        lib = self.library
        sides = source.layout, lib.engine, target.layout, lib.engine
        self.run(lib.made("dnnl_reorder_primitive_desc_create", *sides, lib.attributes), {SRC: source, DST: target})

    def run(self, description: int, roles: dict[int, Memory]) -> None:
        """One more step: the primitive of `description` on memories by role."""
        pad = self.library.layout(description, SCRATCHPAD)
        if self.library.size(pad):
            roles = {**roles, SCRATCHPAD: self.room(pad)}
        # dnnl_exec_arg_t: the role, an int, and the address of the memory.
        given = np.array([[role, memory.object] for role, memory in roles.items()], dtype=np.int64)
        self.kept.append(given)
        self.steps.append((self.library.made("dnnl_primitive_create", description), given.ctypes.data, len(roles)))

    def words(self) -> Any:
        """The plan as the handler reads it."""
        head = (self.arguments, self.results + 1, len(self.memories), len(self.steps))
        # The scratch is the result after the last: index -1 until their number is known.
        places = [(m.object, m.side, self.results if m.index < 0 else m.index, m.offset) for m in self.memories]
        return np.array([*head, *(word for row in (*places, *self.steps) for word in row)], dtype=np.int64)

    def _memory(self, layout: int, side: int, index: int, offset: int = 0) -> Memory:
        made = self.library.made("dnnl_memory_create", layout, self.library.engine, 0)
        self.memories.append(Memory(made, layout, side, index, offset))
        return self.memories[-1]


class Table:
    """The plans of this process by key. The handler reads it while it grows: an entry's key is written last."""

    def __init__(self) -> None:
        self.slots = np.zeros((handler.SLOTS, 2), dtype=np.int64)
        self.kept: dict[int, Any] = {}
        self.lock = threading.Lock()

    def add(self, text: str, plan: Plan) -> int:
        """The key of a plan that `text` describes in full; Unavailable when the table is full."""
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True) or 1
        with self.lock:
            if key not in self.kept:
                if len(self.kept) >= handler.SLOTS // 2:
                    raise Unavailable("the table of plans is full")
                slot = key % handler.SLOTS
                while self.slots[slot, 0]:
                    slot = (slot + 1) % handler.SLOTS
                words = plan.words()
                self.kept[key] = plan, words
                self.slots[slot, 1] = words.ctypes.data
                self.slots[slot, 0] = key
        return key
