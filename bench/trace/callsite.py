"""By which expression a Python function was called: by its own name, or through a callable that somebody kept.

A function that is called by name can be found by readers: a method of an object's class, a function of a module, a
class, a `def` of the same function, a local variable that was assigned one of these. A *stored callback* can't: the
callable is in an attribute of an instance, came out of a container or a queue, or was handed in as a parameter, and so
is every function of gochat that another library calls (trio's entry queue, outcome.capture, a timer). Neither are:

- steps of coroutines and generators, the first of them too, and what `with`, operators, properties and `for` call;
- a function that is given in place to a builtin, such as the key of `sorted`;
- an entry of a table that is a module's constant: readers look it up by its name.
"""

from __future__ import annotations

import ast
import dis
import linecache
from functools import cache
from types import CodeType, FrameType
from typing import Any

_CALLS = frozenset(("CALL", "CALL_FUNCTION_EX", "CALL_KW", "PRECALL"))
_STEPS = 0x20 | 0x80 | 0x200  # Generators, coroutines, asynchronous generators.
_UNKNOWN = object()
_DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_step(callee: FrameType) -> bool:
    return bool(callee.f_code.co_flags & _STEPS)


def resumed(callee: FrameType) -> bool:
    """Whether this frame of a coroutine or generator has run before."""
    code, at = callee.f_code, callee.f_lasti
    return is_step(callee) and at >= 0 and code.co_code[at] == dis.opmap["RESUME"] and code.co_code[at + 1] & 3 != 0


def stored(callee: FrameType, package: str) -> str:
    """The expression through which the stored callback was called that has just begun as `callee`; "" if it was called
    otherwise. `package` is the folder whose callers are looked at: of others only their place is told."""
    caller = callee.f_back
    if is_step(callee) or callee.f_code.co_name.startswith("__"):
        return ""
    if caller is None:
        return "a thread's target"
    if not caller.f_code.co_filename.startswith(package):
        return f"{caller.f_globals.get('__name__')}.{caller.f_code.co_name}"
    call = _call_at(caller.f_code, caller.f_lasti)
    if call is None or not _kept(call.func, caller):
        return ""
    return ast.unparse(call.func)


def _kept(function: ast.expr, caller: FrameType) -> bool:
    if isinstance(function, ast.Name):
        return _kept_name(function.id, caller)
    if isinstance(function, ast.Attribute):
        owner = _value(function.value, caller)
        return owner is not _UNKNOWN and _is_instance_attribute(owner, function.attr)
    if isinstance(function, ast.Subscript):
        root: ast.expr = function
        while isinstance(root, ast.Subscript):
            root = root.value
        return not (isinstance(root, ast.Name) and root.id not in caller.f_locals)
    return False


def _kept_name(name: str, caller: FrameType) -> bool:
    if name not in caller.f_locals:
        return False
    code = caller.f_code
    if isinstance(caller.f_locals[name], type):
        return False
    # A variable of a function around this one is bound there.
    for function in _around(code) if name in code.co_freevars else _around(code)[:1]:
        arguments = function.args
        if any(name == one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
            return True
        for node in ast.walk(function):
            if isinstance(node, _DEFS) and node.name == name:
                return False
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return _kept(node.value, caller)
    return True  # Unpacked, a loop's variable, and the like.


def _value(expression: ast.expr, caller: FrameType) -> Any:
    """The object that a chain of names and attributes stands for, where looking it up runs no code of anybody."""
    if isinstance(expression, ast.Name):
        for names in (caller.f_locals, caller.f_globals):
            if expression.id in names:
                return names[expression.id]
        return _UNKNOWN
    if isinstance(expression, ast.Attribute):
        owner = _value(expression.value, caller)
        if owner is _UNKNOWN:
            return _UNKNOWN
        found = _class_attribute(owner, expression.attr)
        if isinstance(found, property) or hasattr(found, "__wrapped__"):
            return _UNKNOWN
        return getattr(owner, expression.attr, _UNKNOWN)
    return _UNKNOWN


def _is_instance_attribute(owner: object, name: str) -> bool:
    if isinstance(owner, type) or type(owner).__name__ == "module":
        return False
    if name in getattr(owner, "__dict__", {}):
        return True
    found = _class_attribute(owner, name)
    # Slots and the fields of tuples are data descriptors of the class; methods are functions and the like.
    return type(found).__name__ in ("member_descriptor", "_tuplegetter", "property")


def _class_attribute(owner: object, name: str) -> object:
    return next((vars(kind)[name] for kind in type(owner).__mro__ if name in vars(kind)), None)


@cache
def _call_at(code: CodeType, offset: int) -> ast.Call | None:
    """The call that the instruction at `offset` makes; None if it is no call."""
    # A frame may stand on one of the caches that follow the instruction.
    before = (one for one in dis.get_instructions(code) if one.offset <= offset)
    instruction = max(before, key=lambda one: one.offset, default=None)
    if instruction is None or instruction.opname not in _CALLS or instruction.positions is None:
        return None
    wanted = tuple(instruction.positions)
    for node in ast.walk(_tree(code.co_filename)):
        if isinstance(node, ast.Call):
            place = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
            if place == wanted:
                return node
    return None


@cache
def _tree(filename: str) -> ast.Module:
    return ast.parse("".join(linecache.getlines(filename)))


@cache
def _around(code: CodeType) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    """The functions whose lines hold those of the code, the innermost first."""
    first = code.co_firstlineno
    found = [
        node
        for node in ast.walk(_tree(code.co_filename))
        if isinstance(node, _DEFS) and node.lineno <= first <= (node.end_lineno or 0)
    ]
    return tuple(sorted(found, key=lambda node: -node.lineno))
