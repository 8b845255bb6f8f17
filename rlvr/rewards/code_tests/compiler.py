"""Compiles the source of a test to an evaluator over plain values; the source itself is never executed.

A name that the test neither assigns nor imports, and that is no builtin, belongs to the program. Calls of
such names are made in the program's process: it gets the arguments, but never the expected results.
Everything else is evaluated here, by the functions in `pure`, over values that `link` rebuilt from data.

A call of the program must return a plain value, unless the test uses the result as an object. It does if it
calls a method that plain values lack, or any method if a capitalized name created the object
(`Stack().pop()`), or if it only passes it back to the program. Such an object stays in the program's process.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.rewards.code_tests import pure
from rlvr.rewards.code_tests.link import Code, Failed, Frame, Raised, Run, send
from rlvr.rewards.sandbox.wire import distinct

Request = Callable[
    [Frame, list[Any]], Any
]  # returns the tree for the program; appends shared values to the list

# Builtins that return a plain value for any object.
_OF_OBJECTS = frozenset(["len", "str", "repr", "bool", "int", "float", "abs", "round", "hash"])


class Refused(Exception):
    """The test cannot be evaluated outside of the program's process; the message says why."""

    def __init__(self, node: ast.AST, what: str) -> None:
        line = getattr(node, "lineno", None)
        super().__init__(f"line {line}: {what}" if line else what)


class AsksNothing(Exception):
    """The test does not call the program."""


# Meanings of a name.
@dataclass
class Variable:
    kept: bool = False  # an object in the program's process
    derived: bool = False  # depends on what the program returned


@dataclass(frozen=True)
class Helper:
    """A function that the test defines."""

    node: ast.FunctionDef
    scope: Scope


@dataclass(frozen=True)
class Module:
    name: str


@dataclass(frozen=True)
class Imported:
    module: str
    name: str


@dataclass(frozen=True)
class Theirs:
    """A name of the program."""

    name: str


Meaning = Variable | Helper | Module | Imported | Theirs


class Scope:
    def __init__(self, outer: Scope | None = None, names: dict[str, Meaning] | None = None) -> None:
        self.outer = outer
        self.names: dict[str, Meaning] = names or {}

    def find(self, name: str) -> Meaning | None:
        if name in self.names:
            return self.names[name]
        return self.outer.find(name) if self.outer else None


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True)
class Compiled:
    """A test that can be evaluated. `names` are the names of the program that it uses."""

    run: Callable[[Run], None]
    names: frozenset[str]


def compile_test(
    body: Sequence[ast.stmt], function: str | None, entry_point: str | None, own: frozenset[str]
) -> Compiled:
    """Compile a test: run `body`, then its function `function`, or `check` with `entry_point`.

    `own` are builtin names that belong to the program. Raises Refused and AsksNothing.
    """
    compiler = _Compiler(own)
    scope = Scope()
    first = compiler.block(body, scope)
    last: Code | None = None
    called = {
        node.func.id
        for top in body
        for node in ast.walk(top)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if function is not None:
        last = compiler.call_helper(_helper(scope, function), [], body[0])
    elif isinstance(scope.names.get("check"), Helper) and "check" not in called:
        if entry_point is None:
            raise Refused(
                body[0], "it defines check, but nothing says which function to check: name the column that "
                "does, as in columns: [entry_point]"
            )  # fmt: skip
        last = compiler.call_helper(_helper(scope, "check"), [Theirs(entry_point)], body[0])
    if not compiler.asks:
        raise AsksNothing

    def run(run: Run) -> None:
        frame = Frame(run)
        first(frame)
        if last is not None:
            last(frame)

    return Compiled(run, frozenset(compiler.asked))


def _helper(scope: Scope, name: str) -> Helper:
    found = scope.names[name]
    assert isinstance(found, Helper)
    return found


class _Compiler:
    def __init__(self, own: frozenset[str]) -> None:
        self.own = own
        self.asks = (
            0  # number of requests and uses of their results so far; code that increases it depends on them
        )
        self.asked: set[str] = set()
        self.helpers: dict[tuple[int, tuple[str | None, ...]], Code] = {}
        self.asking: set[tuple[int, tuple[str | None, ...]]] = set()  # helpers that call the program

    # Names

    def meaning(self, name: str, scope: Scope) -> Meaning | None:
        """What a name stands for; None for a builtin."""
        found = scope.find(name)
        if found is not None:
            return found
        if name not in self.own and (hasattr(builtins, name) or name in pure.BUILTINS):
            return None
        return Theirs(name)

    def theirs(self, name: str) -> Any:
        self.asks += 1
        self.asked.add(name)
        return ["name", name]

    def is_theirs(self, function: ast.expr, scope: Scope) -> bool:
        """Whether a call of `function` calls the program."""
        match function:
            case ast.Name(id=name):
                return isinstance(self.meaning(name, scope), Theirs)
            case ast.Attribute(value=base, attr=name):
                return self.is_object(base, name, True, scope)
        return False

    def is_object(self, base: ast.expr, name: str, called: bool, scope: Scope) -> bool:
        """Whether `base.name` belongs to an object in the program's process; `called`: it is called."""
        match base:
            case ast.Name(id=word):
                found = self.meaning(word, scope)
                if isinstance(found, Module):
                    return found.name == "solution"
                return isinstance(found, Theirs) or (isinstance(found, Variable) and found.kept)
            case ast.Call(func=function) if self.is_theirs(function, scope):
                return not called or name not in pure.METHODS or _is_capitalized(function)
            case ast.Attribute(value=inner, attr=word):
                if called and name in pure.METHODS:
                    return False
                return self.is_object(inner, word, False, scope)
        return False

    def is_request(self, node: ast.expr, scope: Scope) -> bool:
        match node:
            case ast.Call(func=function):
                awaited = self.is_awaited(node, scope) is not None
                return self.is_theirs(function, scope) or awaited or self.is_measured(node, scope)
            case ast.Attribute(value=base, attr=name):
                return self.is_object(base, name, False, scope)
            case ast.Name(id=name):
                found = self.meaning(name, scope)
                return isinstance(found, Theirs) or (isinstance(found, Variable) and found.kept)
            case ast.Await(value=value):
                return self.is_request(value, scope)
        return False

    def is_measured(self, node: ast.Call, scope: Scope) -> bool:
        """Whether it is `len(stack)`, or another of `_OF_OBJECTS`, of an object in the program's process."""
        path = self.path(node.func, scope)
        if path is None or path[0] or path[1] not in _OF_OBJECTS or len(node.args) != 1 or node.keywords:
            return False
        found = self.meaning(node.args[0].id, scope) if isinstance(node.args[0], ast.Name) else None
        return isinstance(found, Variable) and found.kept

    def is_awaited(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """The call in `asyncio.run(call)`."""
        if isinstance(node, ast.Call) and self.path(node.func, scope) == ("asyncio", "run"):
            return node.args[0] if len(node.args) == 1 else None
        return None

    def path(self, node: ast.expr, scope: Scope) -> tuple[str, str] | None:
        """(module, name) of an imported name; ("", name) of a builtin."""
        match node:
            case ast.Name(id=name):
                found = self.meaning(name, scope)
                if isinstance(found, Imported):
                    return found.module, found.name
                return ("", name) if found is None else None
            case ast.Attribute(value=ast.Name(id=word), attr=name):
                found = scope.find(word)
                if isinstance(found, Module) and found.name != "solution":
                    return found.name, name
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=word), attr=inner), attr=name):
                found = scope.find(word)
                if isinstance(found, Module) and f"{found.name}.{inner}" in pure.MODULES:
                    return f"{found.name}.{inner}", name
        return None

    # Statements

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> Code:
        for node in body:
            self.declare(node, scope)
        self.declare_variables(body, scope)
        return self.inner(body, scope)

    def declare(self, node: ast.stmt, scope: Scope) -> None:
        match node:
            case ast.FunctionDef(name=name):
                if node.decorator_list:
                    raise Refused(node, f"{name} has a decorator")
                scope.names[name] = Helper(node, scope)
            case ast.Import(names=names):
                for alias in names:
                    if alias.name != "solution" and alias.name not in pure.MODULES:
                        raise Refused(node, f"it imports {alias.name}")
                    found = Module(alias.name if alias.asname else alias.name.partition(".")[0])
                    scope.names[alias.asname or alias.name.partition(".")[0]] = found
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    name = alias.asname or alias.name
                    if module == "solution" and alias.name != "*":
                        scope.names[name] = Theirs(alias.name)
                    elif module not in (*pure.MODULES, "solution"):
                        raise Refused(node, f"it imports {module}")
                    elif alias.name != "*":
                        scope.names[name] = Imported(str(module), alias.name)
                    elif module != "solution":
                        for each in pure.MODULES[str(module)]:
                            scope.names[each] = Imported(str(module), each)

    def declare_variables(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Determine which of the variables that `body` assigns are objects in the program's process."""
        parents = {
            child: node for top in body for node in ast.walk(top) for child in ast.iter_child_nodes(node)
        }
        assigned: dict[str, list[ast.expr | None]] = {}
        for node in [*parents, *body]:
            match node:
                case ast.FunctionDef() | ast.Lambda():
                    continue
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        plain = isinstance(target, ast.Name)
                        for name in _targets(target):
                            assigned.setdefault(name, []).append(value if plain else None)
                case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.For(target=target):
                    for name in _targets(target):
                        assigned.setdefault(name, []).append(getattr(node, "value", None))
        mine = {name for name in assigned if self._in_own_body(name, parents, body)}
        for name in mine:
            scope.names.setdefault(name, Variable())
        for name in mine:
            values, found = assigned[name], scope.names[name]
            if isinstance(found, Variable) and all(
                v is not None and self.is_request(v, scope) for v in values
            ):
                uses = [
                    self.use(node, parents, scope)
                    for node in parents
                    if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
                ]
                made = all(isinstance(v, ast.Call) and _is_capitalized(v.func) for v in values)
                needed = "value" in uses or ("measured" in uses and not made)
                found.kept = "object" in uses or (
                    bool(uses) and not needed and (made or "method" not in uses)
                )

    def _in_own_body(self, name: str, parents: dict[ast.AST, ast.AST], body: Sequence[ast.stmt]) -> bool:
        """Whether `name` is assigned outside of the functions that `body` defines."""
        for node in parents:
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                above: ast.AST | None = node
                while above is not None and not isinstance(
                    above, ast.FunctionDef | ast.comprehension | ast.Lambda
                ):
                    above = parents.get(above)
                if above is None:
                    return True
        return False

    def use(self, node: ast.Name, parents: dict[ast.AST, ast.AST], scope: Scope) -> str:
        """How a variable is used here: as object | method | field | passed | measured | value."""
        match parents[node]:
            case ast.Attribute(attr=attribute) as parent:
                above = parents.get(parent)
                if not (isinstance(above, ast.Call) and above.func is parent):
                    return "field"
                return "method" if attribute in pure.METHODS else "object"
            case ast.Call(func=function) if function is not node and self.is_theirs(function, scope):
                return "passed"
            case ast.Call(args=[argument]) as parent if argument is node:
                path = self.path(parent.func, scope)
                return "measured" if path and not path[0] and path[1] in _OF_OBJECTS else "value"
            case ast.Expr():
                return "passed"
        return "value"

    def statement(self, node: ast.stmt, scope: Scope) -> Code:
        match node:
            case ast.FunctionDef() | ast.Import() | ast.ImportFrom() | ast.Pass():
                return _nothing
            case ast.Expr(value=ast.Constant() | ast.Name()):
                return _nothing
            case ast.Expr(value=value):
                if isinstance(value, ast.Call) and self.path(value.func, scope) == ("", "print"):
                    return _nothing
                return (
                    self.request(value, scope, True)
                    if self.is_request(value, scope)
                    else self.data(value, scope)
                )
            case ast.Assert(test=test):
                return self.assertion(test, scope)
            case ast.Assign(targets=[ast.Attribute(value=base, attr=name)], value=value) if self.is_object(
                base, name, False, scope
            ):
                given = [base, ast.copy_location(ast.Constant(name), node), value]
                call = ast.copy_location(ast.Call(ast.Name("setattr", ast.Load()), given, []), node)
                return self.request(call, scope, True)
            case ast.Assign(targets=targets, value=value):
                return self.assign(targets, value, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                return self.assign([target], value, scope)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=operator, value=value):
                left = ast.copy_location(ast.Name(name, ast.Load()), target)
                return self.assign([target], ast.copy_location(ast.BinOp(left, operator, value), node), scope)
            case ast.If(test=test, body=body, orelse=orelse):
                asks = self.asks
                chosen = self.data(test, scope)
                if self.asks == asks:
                    chosen = _as_before(chosen)
                then, otherwise = self.inner(body, scope), self.inner(orelse, scope)
                return lambda frame: then(frame) if chosen(frame) else otherwise(frame)
            case ast.For(orelse=[]):
                return self.loop(node, scope)
            case ast.Return(value=value):
                returned = self.data(value, scope) if value else _nothing

                def leave(frame: Frame) -> None:
                    raise _Return(returned(frame))

                return leave
            case ast.Raise(exc=ast.Name(id="AssertionError") | ast.Call(func=ast.Name(id="AssertionError"))):
                return _fail("AssertionError")
            case ast.Try():
                return self.attempt(node, scope)
            case ast.With(items=[item]):
                return self.raising(item, node.body, scope)
        raise Refused(node, f"it has {_described(node)}")

    def inner(self, body: Sequence[ast.stmt], scope: Scope) -> Code:
        """An inner block, with the variables of the outer one."""
        for node in body:
            self.declare(node, scope)
        codes = [self.statement(node, scope) for node in body]

        def run(frame: Frame) -> None:
            for code in codes:
                code(frame)

        return run

    def assertion(self, test: ast.expr, scope: Scope) -> Code:
        code, text = self.data(test, scope), ast.unparse(test)[:300]

        def check(frame: Frame) -> None:
            if not code(frame):
                raise Failed(f"AssertionError: {text}")

        return check

    def assign(self, targets: Sequence[ast.expr], value: ast.expr, scope: Scope) -> Code:
        found = scope.find(targets[0].id) if len(targets) == 1 and isinstance(targets[0], ast.Name) else None
        if isinstance(found, Variable) and found.kept and self.is_request(value, scope):
            code = self.request(value, scope, True)
            write = self.target(targets[0], scope, True)
            return lambda frame: write(frame, code(frame))
        asks = self.asks
        code = self.data(value, scope)
        derived = self.asks != asks
        writes = [self.target(target, scope, derived) for target in targets]
        names = [name for target in targets for name in _targets(target)]
        before = _as_before(code)

        def run(frame: Frame) -> None:
            changed = bool(frame.run.originals) and not derived
            original = before(frame) if changed else None
            new = code(frame)
            for write in writes:
                write(frame, new)
            if changed and len(names) == 1:
                frame.original[names[0]] = original

        return run

    def target(self, node: ast.expr, scope: Scope, derived: bool) -> Callable[[Frame, Any], None]:
        match node:
            case ast.Name(id=name):
                found = scope.names.setdefault(name, Variable())
                if not isinstance(found, Variable):
                    raise Refused(node, f"it gives {name!r} a second meaning")
                found.derived = found.derived or derived
                return lambda frame, value: frame.write(name, value)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                parts = [self.target(element, scope, derived) for element in elements]

                def unpack(frame: Frame, value: Any) -> None:
                    values = pure.items_of(value)
                    if len(values) != len(parts):
                        raise Failed(f"ValueError: {len(values)} values, not {len(parts)}")
                    for part, each in zip(parts, values, strict=True):
                        part(frame, each)

                return unpack
            case ast.Subscript(value=base, slice=index):
                container, place = self.data(base, scope), self.data(index, scope)

                def put(frame: Frame, value: Any) -> None:
                    container(frame)[place(frame)] = value

                return put
        raise Refused(node, f"it assigns to {_described(node)}")

    def loop(self, node: ast.For, scope: Scope) -> Code:
        values, derived = self.iterated(node.iter, scope)
        write = self.target(node.target, scope, derived)
        body = self.inner(node.body, scope)

        def run(frame: Frame) -> None:
            for value in values(frame):
                frame.run.step()
                write(frame, value)
                body(frame)

        return run

    def iterated(self, node: ast.expr, scope: Scope) -> tuple[Callable[[Frame], list[Any]], bool]:
        """The items of `node`, and whether they are of what the program returned.

        If not, the program must not make a loop shorter by changing its arguments in place, or a loop over
        indices by their number.
        """
        asks = self.asks
        values = self.data(node, scope)
        if self.asks != asks:
            return lambda frame: pure.items_of(values(frame)), True
        before = _as_before(values)
        indices = isinstance(node, ast.Call) and self.path(node.func, scope) == ("", "range")

        def run(frame: Frame) -> list[Any]:
            items = pure.items_of(values(frame))
            if frame.run.originals:
                wanted = pure.items_of(before(frame))
                if indices:
                    return wanted
                if wanted and not items:
                    raise Failed("the program has emptied what the test goes over")
            return items

        return run, False

    def attempt(self, node: ast.Try, scope: Scope) -> Code:
        body, otherwise = self.inner(node.body, scope), self.inner(node.orelse, scope)
        last = self.inner(node.finalbody, scope)
        handlers: list[tuple[list[str], str | None, Code]] = []
        for handler in node.handlers:
            names = ["BaseException"] if handler.type is None else self.exceptions(handler.type, scope)
            if handler.name:
                self.target(ast.copy_location(ast.Name(handler.name), handler), scope, True)
            handlers.append((names, handler.name, self.inner(handler.body, scope)))

        def run(frame: Frame) -> None:
            try:
                body(frame)
            except Raised as error:
                for names, name, handle in handlers:
                    if set(names) & set(error.names):
                        if name:
                            frame.write(name, error)
                        handle(frame)
                        break
                else:
                    raise
            else:
                otherwise(frame)
            finally:
                last(frame)

        return run

    def raising(self, item: ast.withitem, body: Sequence[ast.stmt], scope: Scope) -> Code:
        """`with pytest.raises(Error, match="…") as info:`."""
        call = item.context_expr
        if not (
            isinstance(call, ast.Call) and self.path(call.func, scope) == ("pytest", "raises") and call.args
        ):
            raise Refused(call, "it has a with statement that is not pytest.raises")
        names = self.exceptions(call.args[0], scope)
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        pattern = keywords.pop("match", None)
        if keywords or len(call.args) > 1:
            raise Refused(call, "pytest.raises takes an exception and match here")
        if item.optional_vars:
            self.target(item.optional_vars, scope, True)
        name = next(iter(_targets(item.optional_vars)), None) if item.optional_vars else None
        wanted = self.data(pattern, scope) if pattern else None
        code = self.inner(body, scope)

        def run(frame: Frame) -> None:
            try:
                code(frame)
            except Raised as error:
                if not set(names) & set(error.names):
                    raise
                if wanted is not None and not pure.matches(str(wanted(frame)), error.message):
                    raise Failed(f"it raised {error}, which does not match") from None
                if name:
                    frame.write(name, error)
            else:
                raise Failed(f"it did not raise {' or '.join(names)}")

        return run

    def exceptions(self, node: ast.expr, scope: Scope) -> list[str]:
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        names = [_last_name(each) for each in nodes]
        if None in names:
            raise Refused(node, f"{ast.unparse(node)} is no exception's name")
        if "AssertionError" in names:
            raise Refused(node, "it catches AssertionError, with which tests fail")
        return [str(name) for name in names]

    # Functions that the test defines

    def call_helper(self, helper: Helper, arguments: Sequence[Code | Theirs], node: ast.AST) -> Code:
        """A call of a helper; a parameter that gets a function of the program stands for that function."""
        names = [argument.arg for argument in helper.node.args.args]
        defaults = helper.node.args.defaults
        plain = not (
            helper.node.args.vararg or helper.node.args.kwarg or helper.node.args.kwonlyargs
            or helper.node.args.posonlyargs
        )  # fmt: skip
        if not plain or not len(names) - len(defaults) <= len(arguments) <= len(names):
            raise Refused(node, f"{helper.node.name} is called in a way that is not supported")
        filled = [self.data(default, helper.scope) for default in defaults]
        given = [*arguments, *filled[len(filled) - (len(names) - len(arguments)) :]] if len(names) > len(
            arguments
        ) else [*arguments]  # fmt: skip
        theirs = tuple(each.name if isinstance(each, Theirs) else None for each in given)
        key = (id(helper.node), theirs)
        if key not in self.helpers:
            body: list[Code] = []
            self.helpers[key] = lambda frame: body[0](frame)  # for recursive helpers
            scope = Scope(
                helper.scope,
                {
                    name: Theirs(word) if word else Variable()
                    for name, word in zip(names, theirs, strict=True)
                },
            )
            asks = self.asks
            body.append(self.block(helper.node.body, scope))
            if self.asks != asks:
                self.asking.add(key)
        code = self.helpers[key]
        self.asks += key in self.asking
        codes = [
            (name, each) for name, each in zip(names, given, strict=True) if not isinstance(each, Theirs)
        ]

        def run(frame: Frame) -> Any:
            frame.run.step()
            outermost = frame
            while outermost.outer is not None:
                outermost = outermost.outer
            inner = Frame(frame.run, outermost, {name: each(frame) for name, each in codes})
            try:
                code(inner)
            except _Return as returned:
                return returned.value
            return None

        return run

    def function(self, node: ast.expr, scope: Scope) -> Callable[[Frame], Callable[..., Any] | None]:
        """A function to be called with plain values: a sort key, or the first argument of map."""
        match node:
            case ast.Constant(value=None):
                return lambda frame: None
            case ast.Lambda(args=arguments, body=body) if not arguments.defaults and not arguments.vararg:
                names = [argument.arg for argument in arguments.args]
                inner = Scope(scope, {name: Variable(derived=True) for name in names})
                code = self.data(body, inner)

                def make(frame: Frame) -> Callable[..., Any]:
                    def call(*values: Any) -> Any:
                        frame.run.step()
                        return code(Frame(frame.run, frame, dict(zip(names, values, strict=True))))

                    return call

                return make
        if (path := self.path(node, scope)) is not None:
            known = self.known(path, node)
            return lambda frame: known
        if self.is_request(node, scope) or isinstance(node, ast.Name):
            name = ast.Name("value", ast.Load())
            inner = Scope(scope, {"value": Variable()})
            called = self.data(
                ast.copy_location(ast.Call(node, [ast.copy_location(name, node)], []), node), inner
            )
            return lambda frame: lambda value: called(Frame(frame.run, frame, {"value": value}))
        raise Refused(node, f"{ast.unparse(node)[:80]} is no function that a test may use")

    def known(self, path: tuple[str, str], node: ast.AST) -> Any:
        """A builtin or imported name. Raises Refused if tests may not use it."""
        module, name = path
        table = pure.MODULES.get(module, {}) if module else pure.BUILTINS
        if name not in table:
            raise Refused(node, f"{f'{module}.{name}' if module else name} is nothing that a test may use")
        return table[name]

    # Expressions

    def together(self, nodes: Sequence[ast.expr], scope: Scope) -> list[Code]:
        """Expressions that are evaluated together: next to a result of the program, the others are read as
        before its in-place changes.
        """
        found = []
        for node in nodes:
            asks = self.asks
            code = self.data(node, scope)
            found.append((code, self.asks != asks))
        if any(derived for _, derived in found):
            return [code if derived else _as_before(code) for code, derived in found]
        return [code for code, _ in found]

    def data(self, node: ast.expr, scope: Scope) -> Code:
        """Code that evaluates `node` to a plain value."""
        match node:
            case ast.Constant(value=value):
                return lambda frame: value
            case ast.Name(id=name):
                return self.name(node, name, scope)
            case ast.List(elts=elements):
                return self.display(elements, list, scope)
            case ast.Tuple(elts=elements):
                return self.display(elements, tuple, scope)
            case ast.Set(elts=elements):
                return self.display(elements, lambda values: set(distinct(values)), scope)
            case ast.Dict(keys=keys, values=values) if None not in keys:
                names = self.display([key for key in keys if key], list, scope)
                items = self.display(values, list, scope)
                return lambda frame: dict(zip(names(frame), items(frame), strict=True))
            case ast.UnaryOp(op=operator, operand=operand):
                return self.unary(operator, self.data(operand, scope))
            case ast.BinOp(left=left, op=operator, right=right):
                if (
                    isinstance(operator, ast.Mod)
                    and isinstance(left, ast.Constant)
                    and isinstance(left.value, str)
                ):
                    raise Refused(node, "it formats a text with %")
                one, other = self.together([left, right], scope)
                kind = type(operator).__name__
                if kind not in pure.OPERATORS:
                    raise Refused(node, f"it has the operator {kind}")
                return lambda frame: pure.arithmetic(kind, one(frame), other(frame))
            case ast.BoolOp(op=operator, values=values):
                return _either(isinstance(operator, ast.Or), [self.data(value, scope) for value in values])
            case ast.Compare():
                return self.comparison(node, scope)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                chosen, then, otherwise = (self.data(each, scope) for each in (test, body, orelse))
                return lambda frame: then(frame) if chosen(frame) else otherwise(frame)
            case ast.Subscript(value=base, slice=index):
                container, place = self.data(base, scope), self.data(index, scope)
                return lambda frame: container(frame)[place(frame)]
            case ast.Slice(lower=lower, upper=upper, step=step):
                bounds = [self.data(bound, scope) if bound else _nothing for bound in (lower, upper, step)]
                return lambda frame: slice(*(bound(frame) for bound in bounds))
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return self.comprehension(node, scope)
            case ast.JoinedStr(values=values):
                return self.text(values, scope)
            case ast.Call() | ast.Attribute() | ast.Await() if self.is_request(node, scope):
                return self.request(node, scope, False)
            case ast.Attribute(value=base, attr=name):
                return self.attribute(node, base, name, scope)
            case ast.Call():
                return self.call(node, scope)
        raise Refused(node, f"it has {_described(node)}")

    def name(self, node: ast.Name, name: str, scope: Scope) -> Code:
        match self.meaning(name, scope):
            case Variable(kept=True):
                raise Refused(node, f"{name} is an object of the program's, and is used as a value too")
            case Variable(derived=derived):
                self.asks += derived
                return lambda frame: frame.read(name)
            case Theirs():
                return self.request(node, scope, False)
            case Imported(module=module, name=word):
                value = self.known((module, word), node)
                if not callable(value):
                    return lambda frame: value
        raise Refused(node, f"{name} is used as a value")

    def display(self, nodes: Sequence[ast.expr], make: Callable[[list[Any]], Any], scope: Scope) -> Code:
        starred = [isinstance(node, ast.Starred) for node in nodes]
        codes = [self.data(node.value if isinstance(node, ast.Starred) else node, scope) for node in nodes]

        def run(frame: Frame) -> Any:
            values: list[Any] = []
            for code, many in zip(codes, starred, strict=True):
                if many:
                    values += pure.items_of(code(frame))
                else:
                    values.append(code(frame))
            return make(values)

        return run

    def unary(self, operator: ast.unaryop, code: Code) -> Code:
        match operator:
            case ast.Not():
                return lambda frame: not code(frame)
            case ast.USub():
                return lambda frame: -code(frame)
            case ast.UAdd():
                return lambda frame: +code(frame)
        return lambda frame: ~code(frame)

    def comparison(self, node: ast.Compare, scope: Scope) -> Code:
        operands = [node.left, *node.comparators]
        if any(
            isinstance(each, ast.Call) and self.path(each.func, scope) == ("", "type") for each in operands
        ):
            codes = [
                (lambda frame, kind=kind: kind)
                if (kind := self.type_of(each, scope)) is not None
                else self.data(each, scope)
                for each in operands
            ]  # fmt: skip
        else:
            for kind, right in zip(node.ops, node.comparators, strict=True):
                constants = [isinstance(side, ast.Constant) for side in (node.left, right)]
                if isinstance(kind, ast.Is | ast.IsNot) and not any(constants):
                    raise Refused(node, "it asks whether two values are the same object")
            codes = self.together(operands, scope)
        comparisons = [pure.COMPARISONS[type(operator).__name__] for operator in node.ops]

        def run(frame: Frame) -> bool:
            left = codes[0](frame)
            for compare, code in zip(comparisons, codes[1:], strict=True):
                right = code(frame)
                if not compare(left, right):
                    return False
                left = right
            return True

        return run

    def type_of(self, node: ast.expr, scope: Scope) -> Any:
        """The type that `node` names, or the tuple of types; None if it names none."""
        match node:
            case ast.Tuple(elts=elements):
                types = tuple(self.type_of(element, scope) for element in elements)
                return None if None in types else types
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return self.type_of(ast.Tuple([left, right]), scope)
            case ast.Call(func=ast.Name(id="type"), args=[ast.Constant(value=None)]):
                return type(None)
        path = self.path(node, scope)
        if path is None:
            return None
        if path[0] == "" and path[1] in pure.TYPES:
            return pure.TYPES[path[1]]
        found = (
            pure.MODULES.get(path[0], {}).get(path[1])
            if path[0] in ("fractions", "decimal", "datetime")
            else None
        )
        return found if isinstance(found, type) else None

    def comprehension(
        self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp, scope: Scope
    ) -> Code:
        inner = Scope(scope)
        parts: list[tuple[Code, Callable[[Frame, Any], None], list[Code]]] = []
        for generator in node.generators:
            if generator.is_async:
                raise Refused(node, "it has an async comprehension")
            values, derived = self.iterated(generator.iter, inner)
            write = self.target(generator.target, inner, derived)
            parts.append((values, write, [self.data(condition, inner) for condition in generator.ifs]))
        if isinstance(node, ast.DictComp):
            made = self.display([node.key, node.value], tuple, inner)
        else:
            made = self.data(node.elt, inner)

        def walk(frame: Frame, depth: int) -> Iterator[Any]:
            if depth == len(parts):
                yield made(frame)
                return
            values, write, conditions = parts[depth]
            for value in values(frame):
                frame.run.step()
                write(frame, value)
                if all(condition(frame) for condition in conditions):
                    yield from walk(frame, depth + 1)

        def run(frame: Frame) -> Any:
            found = list(walk(Frame(frame.run, frame), 0))
            if isinstance(node, ast.SetComp):
                return set(distinct(found))
            if isinstance(node, ast.DictComp):
                distinct([key for key, _ in found])
                return dict(found)
            return found

        return run

    def text(self, nodes: Iterable[ast.expr], scope: Scope) -> Code:
        codes = []
        for node in nodes:
            if isinstance(node, ast.FormattedValue):
                if node.format_spec or node.conversion != -1:
                    raise Refused(node, "it formats a value")
                node = node.value
            codes.append(self.data(node, scope))
        return lambda frame: "".join(pure.BUILTINS["str"](code(frame)) for code in codes)

    def attribute(self, node: ast.Attribute, base: ast.expr, name: str, scope: Scope) -> Code:
        if (path := self.path(node, scope)) is not None:
            value = self.known(path, node)
            if callable(value):
                raise Refused(node, f"{ast.unparse(node)} is used as a value")
            return lambda frame: value
        code = self.data(base, scope)
        return lambda frame: pure.field_of(code(frame), name)

    def call(self, node: ast.Call, scope: Scope) -> Code:
        """Code for a call that is not one of the program."""
        helper = self.meaning(node.func.id, scope) if isinstance(node.func, ast.Name) else None
        if isinstance(helper, Helper):
            return self.helper_arguments(helper, node, scope)
        path = self.path(node.func, scope)
        if path == ("", "isinstance") and len(node.args) == 2:
            kinds = self.type_of(node.args[1], scope)
            if kinds is None:
                raise Refused(node, f"{ast.unparse(node.args[1])} is no plain type")
            value = self.data(node.args[0], scope)
            return lambda frame: isinstance(value(frame), kinds)
        if path == ("pytest", "fail"):
            return _fail("pytest.fail")
        if path is None and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name not in pure.METHODS:
                raise Refused(node, f"{name} is no method of plain values that a test may use")
            return _method_call(name, self.arguments([node.func.value, *node.args], node.keywords, 0, scope))
        if path is None:
            raise Refused(node, f"it calls {ast.unparse(node.func)[:80]}")
        function = self.known(path, node)
        if not callable(function):
            raise Refused(node, f"it calls {ast.unparse(node.func)}")
        first = path[1] in pure.FUNCTIONS_FIRST and path[0] == ""
        filled = self.arguments(node.args, node.keywords, int(first), scope)

        def run(frame: Frame) -> Any:
            values, named = filled(frame)
            return function(*values, **named)

        return run

    def arguments(
        self, nodes: Sequence[ast.expr], keywords: Sequence[ast.keyword], functions: int, scope: Scope
    ) -> Callable[[Frame], tuple[list[Any], dict[str, Any]]]:
        """Code that evaluates arguments; the first `functions` of them are functions."""
        called = [self.function(node, scope) for node in nodes[:functions]]
        rest = nodes[functions:]
        for keyword in keywords:
            if keyword.arg is None:
                raise Refused(keyword.value, "it calls a function with **")
        values = [node.value if isinstance(node, ast.Starred) else node for node in rest]
        named = [keyword.value for keyword in keywords if keyword.arg not in ("key", "default_factory")]
        codes = self.together([*values, *named], scope)
        keys = {str(word.arg): self.function(word.value, scope) for word in keywords if word.arg == "key"}
        words = [str(keyword.arg) for keyword in keywords if keyword.arg not in ("key", "default_factory")]

        def run(frame: Frame) -> tuple[list[Any], dict[str, Any]]:
            found: list[Any] = [make(frame) for make in called]
            for node, code in zip(rest, codes, strict=False):
                if isinstance(node, ast.Starred):
                    found += pure.items_of(code(frame))
                else:
                    found.append(code(frame))
            chosen = {word: code(frame) for word, code in zip(words, codes[len(rest) :], strict=True)}
            return found, chosen | {word: make(frame) for word, make in keys.items()}

        return run

    def helper_arguments(self, helper: Helper, node: ast.Call, scope: Scope) -> Code:
        if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
            raise Refused(node, f"{helper.node.name} is called in a way that is not supported")
        functions = {
            place: found
            for place, each in enumerate(node.args)
            if isinstance(each, ast.Name) and isinstance(found := self.meaning(each.id, scope), Theirs)
        }
        codes = iter(
            self.together([each for place, each in enumerate(node.args) if place not in functions], scope)
        )
        given = [functions[place] if place in functions else next(codes) for place in range(len(node.args))]
        return self.call_helper(helper, given, node)

    # Requests

    def request(self, node: ast.expr, scope: Scope, keep: bool) -> Code:
        """Code that lets the program evaluate `node`, to an object kept there (`keep`) or a plain value."""
        tree = self.tree(node, scope)
        self.asks += 1

        def run(frame: Frame) -> Any:
            frame.run.step()
            shared: list[Any] = []
            asked = tree(frame, shared)
            result, after = frame.run.link.ask(keep, asked, shared)
            for value, new in zip(shared, after, strict=True):
                frame.run.change(value, new)
            return result

        return run

    def tree(self, node: ast.expr, scope: Scope) -> Request:
        """The tree for the program to evaluate. Plain values are evaluated here and passed to it."""
        match node:
            case ast.Name(id=name):
                return self.name_tree(node, name, scope)
            case ast.Await(value=value):
                inner = self.tree(value, scope)
                return lambda frame, shared: ["awaited", inner(frame, shared)]
            case ast.Attribute(value=base, attr=name) if self.is_request(node, scope):
                if isinstance(base, ast.Name) and isinstance(self.meaning(base.id, scope), Module):
                    asked = self.theirs(name)
                    return lambda frame, shared: asked
                inner = self.tree(base, scope)
                return lambda frame, shared: ["attribute", [inner(frame, shared), name]]
            case ast.Call(func=function):
                if (awaited := self.is_awaited(node, scope)) is not None:
                    inner = self.tree(awaited, scope)
                    return lambda frame, shared: ["awaited", inner(frame, shared)]
                if self.is_theirs(function, scope):
                    if isinstance(function, ast.Attribute):
                        return self.call_tree(self.method_tree(function, scope), node, scope)
                    return self.call_tree(self.tree(function, scope), node, scope)
                path = self.path(function, scope)
                if path == ("", "setattr") or (path and self.is_measured(node, scope)):
                    word = path[1]
                    return self.call_tree(lambda frame, shared: ["builtin", word], node, scope)
                if path in pure.MADE_THERE:
                    self.known(path, node)
                    return self.call_tree(lambda frame, shared: ["imported", list(path)], node, scope)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) if self.holds_request(elements, scope):
                kind = type(node).__name__.lower()
                parts = [self.tree(element, scope) for element in elements]
                return lambda frame, shared: [kind, [part(frame, shared) for part in parts]]
            case ast.Lambda():
                return self.lambda_tree(node, scope)
        code = self.data(node, scope)
        return lambda frame, shared: send(code(frame))

    def method_tree(self, node: ast.Attribute, scope: Scope) -> Request:
        if isinstance(node.value, ast.Name) and isinstance(self.meaning(node.value.id, scope), Module):
            asked = self.theirs(node.attr)
            return lambda frame, shared: asked
        inner, name = self.tree(node.value, scope), node.attr
        return lambda frame, shared: ["attribute", [inner(frame, shared), name]]

    def holds_request(self, nodes: Sequence[ast.expr], scope: Scope) -> bool:
        return any(
            self.is_request(node, scope)
            or (isinstance(node, ast.List | ast.Tuple) and self.holds_request(node.elts, scope))
            for node in nodes
        )

    def name_tree(self, node: ast.Name, name: str, scope: Scope) -> Request:
        match self.meaning(name, scope):
            case Theirs(name=word):
                asked = self.theirs(word)
                return lambda frame, shared: asked
            case Variable(kept=True):
                self.asks += 1
                return lambda frame, shared: send(frame.read(name))
            case None if name in pure.BUILTINS:
                return lambda frame, shared: ["builtin", name]
        code = self.data(node, scope)

        def refer(frame: Frame, shared: list[Any]) -> Any:
            value = code(frame)
            if not isinstance(value, list | dict | set | bytearray):
                return send(value)
            for number, there in enumerate(shared):
                if there is value:
                    return ["shared", number]
            shared.append(value)
            return ["shared", len(shared) - 1]

        return refer

    def call_tree(self, function: Request, node: ast.Call, scope: Scope) -> Request:
        arguments = [
            (isinstance(each, ast.Starred), self.data(each.value, scope), None)
            if isinstance(each, ast.Starred)
            else (False, None, self.tree(each, scope))
            for each in node.args
        ]
        named = [
            (keyword.arg, self.tree(keyword.value, scope), self.data(keyword.value, scope))
            if keyword.arg is None
            else (keyword.arg, self.tree(keyword.value, scope), None)
            for keyword in node.keywords
        ]

        def build(frame: Frame, shared: list[Any]) -> Any:
            given: list[Any] = []
            for _, many, one in arguments:
                if one is not None:
                    given.append(one(frame, shared))
                elif many is not None:
                    given += [send(value) for value in pure.items_of(many(frame))]
            words: dict[str, Any] = {}
            for name, one, several in named:
                if several is not None:
                    words |= {str(word): send(value) for word, value in several(frame).items()}
                else:
                    words[str(name)] = one(frame, shared)
            return ["call", [function(frame, shared), given, words]]

        return build

    def lambda_tree(self, node: ast.Lambda, scope: Scope) -> Request:
        mine = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        for each in ast.walk(node.body):
            if isinstance(each, ast.Name) and each.id not in mine and scope.find(each.id) is not None:
                raise Refused(node, f"it hands the program a lambda that uses {each.id}")
        source = ast.unparse(node)
        return lambda frame, shared: ["lambda", source]


def _nothing(frame: Frame) -> None:
    return None


def _fail(reason: str) -> Code:
    def run(frame: Frame) -> None:
        raise Failed(reason)

    return run


def _as_before(code: Code) -> Code:
    """Code that reads names as they were before the program changed their values in place."""

    def run(frame: Frame) -> Any:
        if frame.run.before:
            return code(frame)
        frame.run.before = True
        try:
            return code(frame)
        finally:
            frame.run.before = False

    return run


def _either(true: bool, codes: Sequence[Code]) -> Code:
    """The first value that is true (`or`) or false (`and`), or else the last one."""

    def run(frame: Frame) -> Any:
        value = None
        for code in codes:
            value = code(frame)
            if bool(value) is true:
                break
        return value

    return run


def _method_call(name: str, arguments: Callable[[Frame], tuple[list[Any], dict[str, Any]]]) -> Code:
    def run(frame: Frame) -> Any:
        (value, *rest), named = arguments(frame)
        if isinstance(value, set | frozenset | dict):
            rest = [distinct(each) if isinstance(each, list) else each for each in rest]
        return pure.method(value, name)(*rest, **named)

    return run


def _targets(node: ast.AST) -> list[str]:
    return [
        each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    ]


def _is_capitalized(node: ast.expr) -> bool:
    name = _last_name(node)
    return bool(name) and str(name)[:1].isupper()


def _last_name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


def _described(node: ast.AST) -> str:
    kind = type(node).__name__
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
