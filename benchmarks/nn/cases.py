"""Cases by their names, which say all about them: `conv2d+grad b8 c64 o64 h56 k3`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind, whether gradients are wanted, and numbers by the letters they go by."""

    kind: str
    gradients: bool
    numbers: dict

    @classmethod
    def parse(cls, name):
        kind, *words = name.split()
        gradients = kind.endswith("+grad")
        numbers = {word[0]: int(word[1:]) for word in words}
        return cls(kind.removesuffix("+grad"), gradients, numbers)

    def __getitem__(self, letter):
        return self.numbers[letter]

    def get(self, letter, other):
        return self.numbers.get(letter, other)
