"""Extracts the program from a completion, independently of test results."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

_FENCE = re.compile(r"^([ \t]*)(```+|~~~+)[ \t]*([^\s`]*)[^\n]*$", re.MULTILINE)
_PYTHON = ("python", "py", "python3")
_LOOKS_LIKE_CODE = re.compile(
    r"(?:import|def|class|async def|for|while|if|with|try|print)\b|from [\w.]+ import\b|[@#]"
    r"|[\w, ]{1,80}=[^=]"
)
_DEFINES = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]+(\w+)|^(\w+)[ \t]*=(?!=)", re.MULTILINE)
_METHOD = re.compile(r"^[ \t]+(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_READS_INPUT = re.compile(r"\binput\b|\bstdin\b|\bopen\(0|\bfileinput\b")


@dataclass(frozen=True)
class Block:
    """A code block: the names that it defines, the names that it uses undefined, and whether it acts."""

    code: str
    marked: bool  # as Python
    parses: bool
    defines: frozenset[str] = field(default_factory=frozenset)
    uses: frozenset[str] = field(default_factory=frozenset)
    acts: bool = False  # has top-level statements other than definitions


def extract_program(completion: str, names: Collection[str] = (), thoughts: Marks = MARKS) -> str | None:
    """The program in a completion. Its tests call `names`, or run it as a script if `names` is empty.

    It is taken from the fenced blocks after the last thought that are marked as Python, or that are unmarked
    and parse as Python. The main block is the last one that defines one of `names`, itself or in a class
    `Solution`; so examples of use after it and versions before it are ignored. For a script it is the last
    block that reads standard input and acts, by itself or with blocks that it uses. If there is none, it is
    the last block marked as Python, or the last block.

    Names that the main block uses, but does not define, are looked for in the other blocks: first in the
    nearest one before it, then after it. Those blocks are put before the main block, in order.

    A block that is not closed extends to the end; one that does not parse counts as well. A completion
    without fences is the program if it begins like code. None if there is no code.
    """
    text = after_thoughts(completion, marks=thoughts)
    if text is None:
        return None
    blocks, fenced = _blocks(text)
    if not fenced:
        return text.strip() if _LOOKS_LIKE_CODE.match(text.strip()) else None
    if not blocks:
        return None
    last = _that_counts(blocks, frozenset(names))
    return "\n".join(blocks[number].code for number in [*sorted(_needed(blocks, last) - {last}), last])


def _blocks(text: str) -> tuple[list[Block], bool]:
    """The blocks that may be Python, and whether there are any."""
    pieces: list[tuple[str, str]] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[2].startswith(opening[2]) and not fence[3]:
            pieces.append((opening[3].lower(), _dedented(opening, text[opening.end() + 1 : fence.start()])))
            opening = None
    if opening is not None:
        pieces.append((opening[3].lower(), _dedented(opening, text[opening.end() + 1 :])))
    found = [_block(code, language in _PYTHON) for language, code in pieces if language in ("", *_PYTHON)]
    marked = any(block.marked for block in found)
    return [block for block in found if block.marked or block.parses or not marked], bool(pieces)


def _dedented(fence: re.Match[str], code: str) -> str:
    return textwrap.dedent(code) if fence[1] else code


def _block(code: str, marked: bool) -> Block:
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        defined = {name for pair in _DEFINES.findall(code) for name in pair if name}
        if "Solution" in defined:
            defined |= set(_METHOD.findall(code))
        return Block(code, marked, False, frozenset(defined), acts=True)
    stored: set[str] = set()
    loaded: set[str] = set()
    for top in body:
        for node in ast.walk(top):
            if isinstance(node, ast.Name):
                (loaded if isinstance(node.ctx, ast.Load) else stored).add(node.id)
            elif isinstance(node, ast.arg):
                stored.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
                stored.add(node.name or "")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                stored |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    defines = {name for top in body for name in _defined(top)}
    return Block(
        code,
        marked,
        True,
        frozenset(defines),
        frozenset(loaded - stored - set(dir(builtins))),
        any(map(_acts, body)),
    )


def _defined(node: ast.stmt) -> set[str]:
    """The names that a top-level statement defines, including the methods of a class `Solution`."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.ClassDef(name=name, body=body):
            methods = {each for inner in body for each in _defined(inner)} if name == "Solution" else set()
            return {name, *methods}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.partition(".")[0] for alias in names}
        case ast.If() | ast.Try() | ast.With():
            return {
                name
                for inner in ast.iter_child_nodes(node)
                if isinstance(inner, ast.stmt)
                for name in _defined(inner)
            }
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return {
        each.id for target in targets if target for each in ast.walk(target) if isinstance(each, ast.Name)
    }


def _acts(node: ast.stmt) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
            return False
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return any(isinstance(inner, ast.Call) for inner in ast.walk(value))
        case ast.Expr(value=ast.Constant()):
            return False
    return True


def _that_counts(blocks: Sequence[Block], names: frozenset[str]) -> int:
    numbers = range(len(blocks))
    if names:
        found = [number for number in numbers if blocks[number].defines & names]
    else:
        reading = [number for number in numbers if _READS_INPUT.search(blocks[number].code)]
        found = [number for number in reading if blocks[number].acts] or [
            number for number in numbers if blocks[number].acts and _needed(blocks, number) & {*reading}
        ]
    return (found or [number for number in numbers if blocks[number].marked] or list(numbers))[-1]


def _needed(blocks: Sequence[Block], last: int) -> set[int]:
    """Block `last` and all blocks that define names it uses, directly or indirectly."""
    needed, new = {last}, [last]
    while new:
        number = new.pop()
        for name in blocks[number].uses:
            if any(name in blocks[other].defines for other in needed):
                continue
            around = [*range(number - 1, -1, -1), *range(number + 1, len(blocks))]
            for other in around:
                if other not in needed and name in blocks[other].defines and blocks[other].parses:
                    needed.add(other)
                    new.append(other)
                    break
    return needed
