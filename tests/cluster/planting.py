"""Plants a fault into a module: its functions run as if a rule had been forgotten."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Final

import pytest

#: At the end of the file name of code that was planted.
_PLANTED: Final = " with a fault"


def plant(monkeypatch: pytest.MonkeyPatch, module: ModuleType, rule: str, instead: str) -> None:
    """Have the module's functions run with `instead` in the place of `rule`, which stands in its source once. To be
    called once for a module."""
    plant_all(monkeypatch, module, {rule: instead})


def plant_all(monkeypatch: pytest.MonkeyPatch, module: ModuleType, rules: Mapping[str, str]) -> None:
    """Plant several of them, by rule, into one module."""
    source = inspect.getsource(module)
    for rule, instead in rules.items():
        assert source.count(rule) == 1, f"{rule!r} is not in {module.__name__}, or twice"
        source = source.replace(rule, instead)
    broken = ModuleType(module.__name__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, broken)
        exec(compile(source, f"{module.__file__}{_PLANTED}", "exec"), vars(broken))
    codes: dict[str, CodeType] = {name: function.__code__ for name, function in _functions(broken).items()}
    for name, function in _functions(module).items():
        # A fault from before would be gone.
        assert not function.__code__.co_filename.endswith(_PLANTED), f"{module.__name__} has a fault already"
        monkeypatch.setattr(function, "__code__", codes[name])


def _functions(module: ModuleType) -> dict[str, FunctionType]:
    found = {}
    for owner in [module, *(value for value in vars(module).values() if inspect.isclass(value))]:
        for value in vars(owner).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                found[value.__qualname__] = value
    return found
