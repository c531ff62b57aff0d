"""The templates' language: Jinja2 in a sandbox whose work and output are bounded, so that none can stop a worker.

A template sees `contact` and `unsubscribe_url`, and nothing else. What a contact lacks renders empty. There are no
macros, no includes and no counters that outlive a loop; filters and methods are those of the lists below; all loops and
ranges of one part together take at most STEPS steps, and no value grows over LARGEST characters.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from traceback import walk_tb
from typing import Any, NoReturn, cast

import jinja2
from jinja2 import nodes, pass_context, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import escape

from activities.blanks import blanks_of
from activities.mime import encode_piece, encode_plain, is_plain
from activities.ports import RenderingFailed
from models.recipient import ClaimedRecipient

STEPS = 10_000
LARGEST = 5 * 1024 * 1024  # characters of one value, and bytes of one rendered part
_PIECES_AT_ONCE = 16  # of a part, between two looks at its size

_STRING_METHODS = (
    "capitalize casefold count endswith find isalnum isalpha isdigit isnumeric lower lstrip partition removeprefix "
    "removesuffix rpartition rsplit rstrip split splitlines startswith strip swapcase title upper"
)
_COLLECTION_METHODS = "count get index items keys values"
_FILTERS = (
    "abs capitalize count d default e escape first float forceescape int last length list lower max min reverse safe "
    "sort string striptags title trim truncate unique upper urlencode wordcount"
)
STRING_METHODS = frozenset(_STRING_METHODS.split())
COLLECTION_METHODS = frozenset(_COLLECTION_METHODS.split())
#: What a template may name.
NAMES = frozenset({"contact", "unsubscribe_url"})
# Names with a space: no template can say them.
_STEPS_LEFT = "steps left"
_COUNTED = "counted steps"
_JOINED = "joined values"


class Missing(jinja2.ChainableUndefined):
    """What a contact does not have: renders empty, and so does everything asked of it."""

    __slots__ = ()

    def __call__(self, *_: object, **__: object) -> Missing:  # type: ignore[override]  # the base class never returns
        return self

    def __int__(self) -> int:  # type: ignore[override]  # as above
        return 0

    def __float__(self) -> float:  # type: ignore[override]  # as above
        return 0.0

    def __lt__(self, _: object) -> bool:  # type: ignore[override]  # as above
        return False

    __le__ = __gt__ = __ge__ = __lt__  # type: ignore[assignment]  # as above


class Contact:
    """`contact` in a template: the contact's attributes, `email` and `time_zone`."""

    def __init__(self, recipient: ClaimedRecipient) -> None:
        self.__dict__.update(recipient.attributes, email=recipient.address)
        if recipient.time_zone is not None:
            self.__dict__["time_zone"] = recipient.time_zone

    def __str__(self) -> str:
        return ""


class Template:
    """One compiled template: of a subject, or of a body in quoted-printable (`activities.mime.encode_piece`).

    Of a body, the literals are encoded when it is compiled, and for each recipient the values alone.
    """

    def __init__(self, field: str, source: str) -> None:
        self.field = field
        sandbox = environment(field)
        tree = sandbox.parse(source)
        self._blanks = blanks_of(tree, constant=sandbox.written_constant, value=sandbox.written_value)
        self._template = jinja2.Template.from_code(sandbox, sandbox.compile(_Bounding().visit(tree)), {})
        self._context = self._new_context()

    def _new_context(self) -> Context:
        # `shared`: Jinja need not merge its globals into a copy.
        return self._template.new_context({"range": _range}, shared=True)

    def render(self, contact: Contact, unsubscribe_url: str = "") -> str:
        """Render for one recipient. Raises RenderingFailed, which names the line and nothing of the contact."""
        return self._filled_in(contact, unsubscribe_url) or self._run(contact, unsubscribe_url)

    def _filled_in(self, contact: Contact, unsubscribe_url: str) -> str | None:
        """Fill in the blanks, if there is nothing else to do; None also if anything is wrong: the engine says what."""
        if self._blanks is None:
            return None
        try:
            return self._blanks.filled_in(contact.__dict__, unsubscribe_url, most=LARGEST)
        except UnicodeError:
            return None

    def _run(self, contact: Contact, unsubscribe_url: str) -> str:
        # One context for all: making one costs as much as rendering. What a template sets is forgotten.
        context = self._context
        context.parent["contact"] = contact
        context.parent["unsubscribe_url"] = unsubscribe_url
        context.parent[_STEPS_LEFT] = [STEPS]
        context.vars.clear()
        context.exported_vars.clear()
        pieces = self._template.root_render_func(context)
        rendered = ""
        try:
            while some := list(islice(pieces, _PIECES_AT_ONCE)):
                rendered += "".join(some)
                if len(rendered) > LARGEST:
                    _too_large()
        except Exception as error:
            self._context = self._new_context()  # whatever state it was left in
            raise RenderingFailed(self._describe(error)) from error
        return rendered

    def _describe(self, error: Exception) -> str:
        """Say where and what. Only texts of the template engine are repeated: Python's may quote the contact's data."""
        lines = [
            template.get_corresponding_lineno(line)
            for frame, line in walk_tb(error.__traceback__)
            if (template := frame.f_globals.get("__jinja_template__")) is self._template
        ]
        place = f"{self.field}, line {lines[-1]}" if lines else self.field
        if isinstance(error, UnicodeError):
            return f"{place}: text that is not Unicode"
        return f"{place}: {error if isinstance(error, jinja2.TemplateError) else type(error).__name__}"


def has_tags(source: str) -> bool:
    """Whether the source is a template at all."""
    return "{{" in source or "{%" in source or "{#" in source


def environment(field: str) -> _Sandbox:
    """Return the sandbox of a field's templates."""
    return _SANDBOXES[field]


class _Sandbox(ImmutableSandboxedEnvironment):
    """Only what is on the lists, and no operator whose result can be much larger than its operands."""

    intercepted_binops = frozenset({"+", "*", "%", "**"})
    #: How a constant and a value are written where no statement stands between: here, as they are.
    written_constant: Callable[[str], str] = staticmethod(str)
    written_value: Callable[[object], str] = staticmethod(str)

    def getattr(self, obj: Any, attribute: str) -> Any:
        # The short way for what nearly all templates do: what a contact has is text.
        known = obj.__dict__.get(attribute) if type(obj) is Contact else None
        return super().getattr(obj, attribute) if known is None else known

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in STRING_METHODS
        if isinstance(obj, (list, tuple, dict)):
            return attr in COLLECTION_METHODS
        return isinstance(obj, (Contact, LoopContext, Missing)) and not attr.startswith("_")

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:  # never silently empty
        raise SecurityError(f"{attribute!r} is not available")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, (int, float)) and isinstance(right, (int, float)) and operator != "**":
            if abs(left) > LARGEST**2 or abs(right) > LARGEST**2:
                raise SecurityError("a number is too large")
        elif operator == "+" and _length(left) + _length(right) > LARGEST:
            _too_large()
        elif operator != "+":
            raise SecurityError(f"{operator} is available between numbers only")
        return _OPERATORS[operator](left, right)


class _QuotedPrintable(CodeGenerator):
    """Compiles templates whose output is encoded: what is constant when compiled, values when rendered.

    Right as long as no statement takes its block's output as a value; `template_check` refuses all that do.
    """

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        return repr(encode_piece("".join(group)))

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        # Where Jinja escapes, or makes a string, we encode too: in one call.
        html, text = "environment.encoded_html", "environment.encoded_text"
        if frame.eval_ctx.volatile:
            self.write(f"({html} if context.eval_ctx.autoescape else {text})(")
        else:
            self.write(f"{html if frame.eval_ctx.autoescape else text}(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        self.write(")")


def _encoded_text(value: object) -> str:
    """Return a value of a text, encoded."""
    return encode_plain(value) if is_plain(value) else encode_piece(str(value))


def _encoded_html(value: object) -> str:
    """Return a value of an HTML text, escaped unless it is marked as safe, and encoded."""
    # What is plain has nothing to escape: most values, in half the time.
    return encode_plain(value) if is_plain(value) else encode_piece(escape(value))


class _TextSandbox(_Sandbox):
    code_generator_class = _QuotedPrintable
    encoded_text = staticmethod(_encoded_text)
    encoded_html = staticmethod(_encoded_html)
    written_constant = staticmethod(encode_piece)
    written_value = staticmethod(_encoded_text)


class _HtmlSandbox(_TextSandbox):
    written_value = staticmethod(_encoded_html)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "*": operator.mul, "%": operator.mod}


class _Bounding(NodeTransformer):
    """Puts a bound around what the sandbox cannot intercept: loops, and `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # Jinja's naming
        self.generic_visit(node)
        node.iter = _filter(cast(nodes.Expr, node.iter), _COUNTED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  # Jinja's naming
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), _JOINED)


def _filter(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _too_large() -> NoReturn:
    raise SecurityError(f"more than {LARGEST // 1024**2} MiB of output")


def _length(value: object) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _spend(context: Context, steps: int) -> None:
    left: list[int] = context[_STEPS_LEFT]
    left[0] -= steps
    if left[0] < 0:
        raise SecurityError(f"more than {STEPS:,} steps in loops")


@pass_context
def _counted(context: Context, values: Iterable[Any]) -> list[Any]:
    counted = []
    for value in values:
        _spend(context, 1)
        counted.append(value)
    return counted


@pass_context
def _range(context: Context, *bounds: int) -> range:
    numbers = range(*bounds)
    _spend(context, len(numbers))
    return numbers


@pass_eval_context
def _joined(eval_ctx: EvalContext, values: list[Any]) -> str:
    if sum(map(_length, values)) > LARGEST:
        _too_large()
    return markup_join(values) if eval_ctx.autoescape else str_join(values)


@pass_eval_context
def _join(eval_ctx: EvalContext, values: Iterable[Any], separator: str = "") -> str:
    values = list(values)
    if sum(map(_length, values)) + len(values) * _length(separator) > LARGEST:
        _too_large()
    joined: str = FILTERS["join"](eval_ctx, values, separator)
    return joined


@pass_eval_context
def _replace(eval_ctx: EvalContext, text: Any, old: str, new: str) -> str:
    text = text if isinstance(text, str) else str(text)
    if len(text) + text.count(old) * len(new) > LARGEST:
        _too_large()
    replaced: str = FILTERS["replace"](eval_ctx, text, old, new)
    return replaced


def _round(number: Any, digits: int = 0) -> float:
    return round(float(number), min(digits, 15))


def _make_sandbox(kind: type[_Sandbox], *, escape: bool) -> _Sandbox:
    sandbox = kind(autoescape=escape, undefined=Missing, keep_trailing_newline=True, cache_size=0)
    available: Mapping[str, Any] = {name: FILTERS[name] for name in _FILTERS.split()}
    bounded = {"join": _join, "replace": _replace, "round": _round, _COUNTED: _counted, _JOINED: _joined}
    sandbox.filters.clear()
    sandbox.filters.update({**available, **bounded})
    sandbox.globals.clear()
    sandbox.globals["range"] = _range
    return sandbox


_SANDBOXES = {
    "subject": _make_sandbox(_Sandbox, escape=False),
    "text": _make_sandbox(_TextSandbox, escape=False),
    "html": _make_sandbox(_HtmlSandbox, escape=True),
}
