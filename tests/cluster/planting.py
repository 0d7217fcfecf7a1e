"""Plants a fault into a module: its functions run as if a rule had been forgotten."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FunctionType, ModuleType

import pytest


def plant(monkeypatch: pytest.MonkeyPatch, module: ModuleType, rule: str, instead: str) -> None:
    """Have the module's functions run with `instead` in the place of `rule`, which stands in its source once."""
    source = inspect.getsource(module)
    assert source.count(rule) == 1, f"{rule!r} is not in {module.__name__}, or twice"
    broken = ModuleType(module.__name__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, broken)
        exec(compile(source.replace(rule, instead), module.__file__ or "", "exec"), vars(broken))
    codes: dict[str, CodeType] = {name: function.__code__ for name, function in _functions(broken).items()}
    for name, function in _functions(module).items():
        monkeypatch.setattr(function, "__code__", codes[name])


def _functions(module: ModuleType) -> dict[str, FunctionType]:
    found = {}
    for owner in [module, *(value for value in vars(module).values() if inspect.isclass(value))]:
        for value in vars(owner).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                found[value.__qualname__] = value
    return found
