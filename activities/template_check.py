"""What is wrong with a message's templates, by field, line and column; and which attributes they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from jinja2 import TemplateSyntaxError, nodes
from jinja2.lexer import Token, TokenStream
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from activities.templates import COLLECTION_METHODS, NAMES, STRING_METHODS, Template, environment, has_tags
from models.errors import InvalidInput, check_all
from models.message import MessageContent

_NEWLINE = re.compile(r"\r\n|\r|\n")
_AT = re.compile(r" at \d+$")  # the lexer counts characters from the start; we say line and column
_UNKNOWN = re.compile(r"No (filter|test) named '(.+?)'")
#: Statements whose work cannot be bounded, or which need a store of templates that there is not.
_UNAVAILABLE: dict[type[nodes.Node], str] = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.AssignBlock: "set without =",
    nodes.FilterBlock: "filter",
}
_LINK = "unsubscribe_url"
_METHODS = STRING_METHODS | COLLECTION_METHODS | {"cycle", "changed"}


def check_templates(content: MessageContent) -> None:
    """Refuse templates that cannot be compiled, or that name anything but `contact` and `unsubscribe_url`.

    Raises InvalidInput with field, line and column, as in "html, line 12, column 7: unexpected '}'.". Lines and
    columns count from 1, columns in characters.
    """
    for field, source in _templates(content):
        if not has_tags(source):
            continue
        sandbox = environment(field)
        reading = _Reading(_NEWLINE.sub("\n", source))
        try:
            tree = reading.parse(sandbox)
            wrong = _refused(tree)
            if wrong is not None:
                raise _error(field, reading, wrong.offset(reading), wrong.message)
            Template(field, source)
        except TemplateSyntaxError as error:
            raise _error(field, reading, _offset(reading, error), error.message or "cannot be read") from None
        except (RecursionError, MemoryError, SyntaxError):
            raise InvalidInput(f"{field}: the template is nested too deeply.", field=field) from None
        except UnicodeError:  # '\\ud800' in an expression
            raise InvalidInput(f"{field}: the template has text that is not Unicode.", field=field) from None


def check_links(content: MessageContent, missing: Sequence[str]) -> None:
    """Refuse templates that need an unsubscribe link while settings are `missing` without which there is none.

    What stands in `{% if unsubscribe_url %}` needs none. Raises InvalidInput for each field with its first line that
    does, or as `check_templates` does.
    """
    check_templates(content)
    if missing:
        check_all(*(partial(_check_link, field, source, missing) for field, source in _templates(content)))


def _check_link(field: str, source: str, missing: Sequence[str]) -> None:
    tree = environment(field).parse(source)
    link = _link_needed(tree) if _LINK in find_undeclared_variables(tree) else None
    if link is not None:
        settings = " and ".join(missing)
        raise InvalidInput(
            f"{field}, line {link.lineno}: {_LINK} would be empty, a dead link; set {settings}, or take the name out.",
            field=field,
            line=link.lineno,
        )


def _link_needed(node: nodes.Node) -> nodes.Name | None:
    """Return the first place that has no answer to there being no link."""
    if isinstance(node, nodes.If | nodes.CondExpr) and _link_needed(node.test) is not None:
        return None
    if isinstance(node, nodes.Name) and node.name == _LINK and node.ctx == "load":
        return node
    return next((found for child in node.iter_child_nodes() if (found := _link_needed(child))), None)


def attributes_named(content: MessageContent) -> set[str]:
    """Return the contact's attributes that the templates name, `time_zone` among them; not `email`, which none lacks.

    Raises InvalidInput, as `check_templates` does.
    """
    check_templates(content)
    named: set[str] = set()
    for field, source in _templates(content):
        tree = environment(field).parse(source)
        named.update(node.attr for node in tree.find_all(nodes.Getattr) if _is_contact(node.node))
        for node in tree.find_all(nodes.Getitem):
            if _is_contact(node.node) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                named.add(node.arg.value)
    return named - {"email"}


def _is_contact(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "contact"


def _templates(content: MessageContent) -> Iterator[tuple[str, str]]:
    """Yield the fields that are templates, each with its source."""
    yield "subject", content.subject
    if content.html is not None:
        yield "html", content.html
    if content.text is not None:
        yield "text", content.text


class _Reading:
    """A source being read, and where in it the reader is: Jinja's tokens know their line only."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.seen: list[tuple[Token, int]] = []  # each with the offset it begins at
        self.last = 0  # where the last piece began, also one that is no token: a space, a comment
        self.end = 0  # where it ended
        self.lexer_failed = False  # what follows the last piece is none
        self.token_failed = False  # the last piece is no right token
        self.parsed = False
        self.stream: TokenStream | None = None

    def parse(self, sandbox: ImmutableSandboxedEnvironment) -> nodes.Template:
        """Parse the source. Raises TemplateSyntaxError, and then the fields tell where."""
        parser = Parser(sandbox, "")
        self.stream = parser.stream = TokenStream(self._tokens(sandbox), None, None)
        tree = parser.parse()
        self.parsed = True
        return tree

    def _tokens(self, sandbox: ImmutableSandboxedEnvironment) -> Iterator[Token]:
        lexer = sandbox.lexer
        tokens = lexer.wrap(self._pieces(lexer.tokeniter(self.source, None)))
        while True:
            try:
                token = next(tokens)
            except StopIteration:
                return
            except TemplateSyntaxError:
                self.token_failed = not self.lexer_failed
                raise
            self.seen.append((token, self.last))
            yield token

    def _pieces(self, pieces: Iterator[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
        try:
            for piece in pieces:
                # Pieces come in order and verbatim; only space that a `-` strips is missing between them.
                self.last = self.source.index(piece[2], self.end)
                self.end = self.last + len(piece[2])
                yield piece
        except TemplateSyntaxError:
            self.lexer_failed = True
            raise

    def line(self, offset: int) -> int:
        return self.source.count("\n", 0, offset) + 1

    def column(self, offset: int) -> int:
        return offset - self.source.rfind("\n", 0, offset)

    def find(self, name: str, behind: tuple[str, ...], line: int) -> int | None:
        """Return where `name` stands at `line` or below, behind one of these tokens; without any: not behind a dot."""
        previous = ""
        for token, offset in self.seen:
            fits = previous in behind if behind else previous != "dot"
            if fits and token.type == "name" and token.value == name and self.line(offset) >= line:
                return offset
            previous = token.value if token.type == "name" else token.type
        return None

    def first_on(self, line: int) -> int:
        """Return where the first tag that ends on this line or below begins."""
        return next((at for token, at in self.seen if token.type != "data" and self.line(at) >= line), 0)


@dataclass(frozen=True)
class _Refusal:
    message: str
    line: int
    name: str
    behind: tuple[str, ...] = ()

    def offset(self, reading: _Reading) -> int:
        found = reading.find(self.name, self.behind, self.line)
        return reading.first_on(self.line) if found is None else found


def _refused(tree: nodes.Template) -> _Refusal | None:
    """Return the first thing in a template that is right Jinja and not available here."""
    for node in tree.find_all(nodes.Node):
        if type(node) in _UNAVAILABLE:
            name = _UNAVAILABLE[type(node)]
            return _Refusal(f"{name} is not available", node.lineno, name.split()[0], ("block_begin", "import"))
        if isinstance(node, nodes.For) and node.recursive:
            return _Refusal("recursive is not available", node.lineno, "recursive", ())
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr not in _METHODS:
            return _Refusal(f"{node.node.attr}() is not available", node.lineno, node.node.attr, ("dot",))
    assigned = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    for unknown in sorted(find_undeclared_variables(tree) - assigned - NAMES):
        line = next((name.lineno for name in tree.find_all(nodes.Name) if name.name == unknown), 1)
        return _Refusal(f"unknown name {unknown!r}; attributes are written contact.{unknown}", line, unknown)
    return None


def _offset(reading: _Reading, error: TemplateSyntaxError) -> int:
    """Return where in the source a syntax error is."""
    message = error.message or ""
    unknown = _UNKNOWN.match(message)
    if unknown:
        before = ("pipe", "filter") if unknown[1] == "filter" else ("is", "not")
        found = reading.find(unknown[2].partition(".")[0], before, error.lineno)
        return reading.first_on(error.lineno) if found is None else found
    if reading.lexer_failed and not message.startswith("Missing end"):
        return reading.end
    if reading.lexer_failed or reading.token_failed:  # the last piece is wrong, or lacks its end
        return reading.last
    if reading.stream is None or reading.parsed:  # found by the compiler, which knows no more than the line
        return reading.first_on(error.lineno)
    current = reading.stream.current
    if current.type == "eof":
        return len(reading.source)
    place = next((index for index, (token, _) in enumerate(reading.seen) if token is current), None)
    if place is None:
        return reading.last
    if message.startswith("can't assign") and place > 0:
        place -= 1  # the parser has gone past the target it complains of
    while place > 0 and reading.line(reading.seen[place][1]) > error.lineno:
        place -= 1
    return reading.seen[place][1]


def _error(field: str, reading: _Reading, offset: int, message: str) -> InvalidInput:
    line, column = reading.line(offset), reading.column(offset)
    sentence = _AT.sub("", message.rstrip("."))
    return InvalidInput(f"{field}, line {line}, column {column}: {sentence}.", field=field, line=line, column=column)
