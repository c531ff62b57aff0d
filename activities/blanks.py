"""Templates that are text with blanks: `{{ contact.first_name }}`, `{{ unsubscribe_url }}`, and nothing else.

Most are. To fill in the blanks takes less time than the template engine does, and makes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import nodes


@dataclass(frozen=True, slots=True)
class Blank:
    """A place for an attribute of the contact, or for the link that unsubscribes (no name)."""

    name: str | None


class Blanks:
    """A template's constant pieces, and what goes between them."""

    def __init__(self, pieces: Sequence[str | Blank], write: Callable[[object], str]) -> None:
        """`write`: how a value is written in a piece of this kind."""
        self._write = write
        self._pieces = [piece if isinstance(piece, str) else "" for piece in pieces]
        numbers: dict[Blank, int] = {}
        self._places = [
            (place, numbers.setdefault(piece, len(numbers)))
            for place, piece in enumerate(pieces)
            if isinstance(piece, Blank)
        ]
        self._names = [blank.name for blank in numbers]

    def filled_in(self, attributes: Mapping[str, object], unsubscribe_url: str, *, most: int) -> str | None:
        """Return the pieces with the blanks filled in; what a contact lacks is empty. None if it is over `most`."""
        write = self._write
        # Each value once, however often it is named.
        values = [write(unsubscribe_url if name is None else attributes.get(name, "")) for name in self._names]
        pieces = self._pieces.copy()
        for place, number in self._places:
            pieces[place] = values[number]
        return "".join(pieces) if sum(map(len, pieces)) <= most else None


def blanks_of(tree: nodes.Template, *, constant: Callable[[str], str], value: Callable[[object], str]) -> Blanks | None:
    """Return the blanks of a parsed template, or None if there is more to it. The two write a piece of either kind."""
    pieces: list[str | Blank] = []
    for node in _outputs(tree):
        piece = node.data if isinstance(node, nodes.TemplateData) else _blank(node)
        if piece is None:
            return None
        if isinstance(piece, str) and pieces and isinstance(before := pieces[-1], str):
            pieces[-1] = before + piece
        else:
            pieces.append(piece)
    return Blanks([constant(piece) if isinstance(piece, str) else piece for piece in pieces], value)


def _outputs(tree: nodes.Template) -> Iterator[nodes.Node]:
    """The expressions whose values one after the other are the template, and any other statement as it is."""
    for statement in tree.body:
        if isinstance(statement, nodes.Output):
            yield from statement.nodes
        else:
            yield statement


def _blank(node: nodes.Node) -> Blank | None:
    """Return what an expression names, if it does no more than that.

    Names that begin with an underscore are left to the sandbox, which refuses them.
    """
    if isinstance(node, nodes.Name) and node.name == "unsubscribe_url":
        return Blank(None)
    if isinstance(node, nodes.Getattr) and _is_contact(node.node):
        name: object = node.attr
    elif isinstance(node, nodes.Getitem) and _is_contact(node.node) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    else:
        return None
    return Blank(name) if isinstance(name, str) and not name.startswith("_") else None


def _is_contact(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "contact"
