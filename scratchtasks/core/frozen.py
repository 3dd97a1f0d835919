"""Frozen data classes whose making compiles nothing.

`dataclasses` writes six methods for each class as source and compiles it: half a millisecond to a
whole one, for seventy classes in a run that rebuilds one image.  Here the methods of all
classes are the same closures over their fields; the fields themselves are made by `dataclasses`,
so that `replace`, `asdict`, `fields` and `match` work.
"""

import dataclasses
from collections.abc import Callable
from operator import attrgetter, eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, NoReturn

_MISSING = dataclasses.MISSING

__all__ = ["dataclass"]


def _dataclass(
    *, frozen: bool, slots: bool, kw_only: bool = False, order: bool = False
) -> Callable[[type[Any]], type[Any]]:
    """As in `dataclasses`, for classes that are frozen and have slots, and no `__post_init__`."""
    assert frozen
    assert slots

    def made(given: type[Any]) -> type[Any]:
        assert not hasattr(given, "__post_init__")
        bare = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)
        cls = bare(given)
        fields = dataclasses.fields(cls)
        for name, method in {
            "__init__": _init_of(cls, fields),
            "__setattr__": _refuse_to_assign,
            "__delattr__": _refuse_to_delete,
            "__getstate__": _state_of([field.name for field in fields]),
            "__setstate__": _set_state,
            "__repr__": _repr,
            **_comparison_of([field.name for field in fields if field.compare], order),
        }.items():
            if name not in given.__dict__:
                setattr(cls, name, method)
        return cls

    return made


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass


def _init_of(cls: type[Any], fields: tuple["dataclasses.Field[Any]", ...]) -> Callable[..., None]:
    positional = tuple(field.name for field in fields if not field.kw_only)
    # A slot's own setter, for that of the class refuses.
    slots = tuple(
        (field.name, cls.__dict__[field.name].__set__, field.default, field.default_factory)
        for field in fields
    )

    def init(self: Any, /, *args: Any, **given: Any) -> None:
        if len(args) == len(positional) == len(slots) and not given:
            for value, (_, put, _, _) in zip(args, slots, strict=True):
                put(self, value)
            return
        if args:
            bound = dict(zip(positional, args, strict=False))
            if len(args) > len(positional) or not bound.keys().isdisjoint(given):
                raise TypeError(f"{cls.__qualname__}() got more arguments than it takes")
            given = {**bound, **given}
        unused = len(given)
        for name, put, default, make in slots:
            if name in given:
                put(self, given[name])
                unused -= 1
            elif default is not _MISSING:
                put(self, default)
            elif make is not _MISSING:
                put(self, make())
            else:
                raise TypeError(f"{cls.__qualname__}() misses the argument {name!r}")
        if unused:
            unknown = min(given.keys() - {slot[0] for slot in slots})
            raise TypeError(f"{cls.__qualname__}() has no argument {unknown!r}")

    return init


def _values_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _state_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    values = _values_of(names)
    return lambda self: values(self)  # a method, which attrgetter is not


def _comparison_of(names: list[str], order: bool) -> dict[str, Callable[..., Any]]:
    values = _values_of(names)

    def by(compare: Callable[[Any, Any], Any]) -> Callable[[Any, object], Any]:
        def compared(self: Any, other: object) -> Any:
            if other.__class__ is self.__class__:
                return compare(values(self), values(other))
            return NotImplemented

        return compared

    ordered = {f"__{each.__name__}__": by(each) for each in (lt, le, gt, ge)} if order else {}
    return {"__eq__": by(eq), "__hash__": lambda self: hash(values(self)), **ordered}


def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _set_state(self: Any, state: tuple[Any, ...]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


def _refuse_to_assign(self: Any, name: str, value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
