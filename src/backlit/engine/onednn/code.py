"""Functions in LLVM's language, written with a few words: every value is a 64-bit word, also an address.

    c = Code("second", arguments=1)
    c.give_back(c.get("%a0", 1))             # the word after the one that the argument points to
    c.text()

Source: LLVM language reference, https://llvm.org/docs/LangRef.html
"""

from collections.abc import Iterator
from contextlib import contextmanager

Word = str | int
"""The name of a value, or a number."""

INT = "i32"
"""C's int; all else is a word, i64."""


class Code:
    """One function while it is written; its arguments are called %a0, %a1, ..."""

    def __init__(self, name: str, arguments: int = 0) -> None:
        self.name, self.arguments = name, arguments
        self.variables: list[str] = []
        self.constants: list[str] = []
        self.lines: list[str] = []
        self.names = 0

    def text(self) -> str:
        """The function, finished."""
        arguments = ", ".join(f"i64 %a{i}" for i in range(self.arguments))
        body = [*self.variables, *self.lines, "unreachable"]
        return "\n".join([*self.constants, f"define i64 @{self.name}({arguments}) {{", *body, "}", ""])

    def value(self, instruction: str) -> str:
        """The value that an instruction makes."""
        self.lines.append(f"{(name := self._name('%v'))} = {instruction}")
        return name

    def at(self, address: Word, index: Word) -> str:
        """The address of word `index` from `address` on."""
        return self.value(f"add i64 {address}, {self.value(f'mul i64 {index}, 8')}")

    def get(self, address: Word, index: Word = 0, kind: str = "i64") -> str:
        """What stands there."""
        return self.value(f"load {kind}, ptr {self._pointer(address, index)}")

    def put(self, value: Word, address: Word, index: Word = 0, kind: str = "i64") -> None:
        """Writes it there."""
        self.lines.append(f"store {kind} {value}, ptr {self._pointer(address, index)}")

    def room(self, words: int) -> str:
        """The address of so many words of this call's own."""
        self.variables.append(f"{(name := self._name('%v'))} = alloca i64, i64 {words}")
        return self.value(f"ptrtoint ptr {name} to i64")

    def string(self, text: str) -> str:
        """The address of a text as C has it."""
        name, size = self._name(f"@{self.name}.text"), len(text.encode()) + 1
        self.constants.append(f'{name} = constant [{size} x i8] c"{text}\\00"')
        return self.value(f"ptrtoint ptr {name} to i64")

    def run(self, address: Word, *values: Word, result: str = "i64") -> str:
        """Calls the C function that lies at an address; an argument that is an int there may be a word here."""
        function = self._pointer(address, 0)
        return self.value(f"call {result} {function}({', '.join(f'i64 {v}' for v in values)})")

    def flush_denormals(self) -> None:
        """This thread takes denormal numbers for 0 and makes none, bits 6 and 15 of its register of settings (x86)."""
        self.constants.append("declare void @llvm.x86.sse.ldmxcsr(ptr)")
        settings = self.room(1)
        self.put(0x1F80 | 1 << 6 | 1 << 15, settings)
        self.lines.append(f"call void @llvm.x86.sse.ldmxcsr(ptr {self._pointer(settings, 0)})")

    def give_back(self, value: Word) -> None:
        """Ends the function with this value."""
        self.lines.append(f"ret i64 {value}")
        self._place(self._name("l"))

    @contextmanager
    def when(self, left: Word, relation: str, right: Word, kind: str = "i64") -> Iterator[None]:
        """What is written within runs where left is `eq` or `ne` right."""
        then, after = self._name("l"), self._name("l")
        holds = self.value(f"icmp {relation} {kind} {left}, {right}")
        self.lines.append(f"br i1 {holds}, label %{then}, label %{after}")
        self._place(then)
        yield
        self._enter(after)

    @contextmanager
    def loop(self) -> Iterator[str]:
        """What is written within runs again and again; gives the name by which `leave` ends it."""
        again, after = self._name("l"), self._name("l")
        self._enter(again)
        yield after
        self.lines.append(f"br label %{again}")
        self._place(after)

    def leave(self, loop: str) -> None:
        """Goes on behind the loop."""
        self.lines.append(f"br label %{loop}")
        self._place(self._name("l"))

    @contextmanager
    def each(self, address: Word, count: Word, words: int) -> Iterator[str]:
        """What is written within runs for each of `count` records of so many words, from `address` on."""
        i = self.room(1)
        self.put(0, i)
        with self.loop() as loop:
            number = self.get(i)
            with self.when(number, "eq", count):
                self.leave(loop)
            yield self.at(address, self.value(f"mul i64 {number}, {words}"))
            self.put(self.value(f"add i64 {number}, 1"), i)

    def _pointer(self, address: Word, index: Word) -> str:
        return self.value(f"inttoptr i64 {self.at(address, index)} to ptr")

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def _enter(self, label: str) -> None:
        self.lines.append(f"br label %{label}")
        self._place(label)

    def _place(self, label: str) -> None:
        self.lines.append(f"{label}:")
