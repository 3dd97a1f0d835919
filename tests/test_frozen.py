"""Our frozen data classes are those of the standard library, made quicker."""

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Ours:
    """A class of ours."""

    name: str
    size: int = 0
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """The same, of the standard library."""

    name: str
    size: int = 0
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Arguments by name only."""

    one: int
    two: int = 2


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """With an order."""

    major: int
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Single:
    """Of one field, whose value is no tuple."""

    value: tuple[int, ...]


WORDS = st.sampled_from(["", "a", "b"])
ARGS = st.fixed_dictionaries(
    {"name": WORDS},
    optional={
        "size": st.integers(0, 2),
        "tags": st.lists(WORDS, max_size=2),
        "note": WORDS,
        "secret": WORDS,
    },
)


@given(ARGS, ARGS)
def test_they_behave_as_those_of_the_standard_library(
    some: dict[str, Any], other: dict[str, Any]
) -> None:
    a, b, c, d = Ours(**some), Ours(**other), Theirs(**some), Theirs(**other)
    assert repr(a) == repr(c).replace("Theirs", "Ours")
    assert asdict(a) == asdict(c)
    assert (a == b) == (c == d)
    assert asdict(replace(a, **other)) == asdict(replace(c, **other))
    assert asdict(copy.copy(a)) == asdict(copy.deepcopy(a)) == asdict(a)
    assert asdict(pickle.loads(pickle.dumps(a))) == asdict(a)


@given(st.lists(st.integers(), max_size=5).map(tuple))
def test_arguments_by_place_are_those_of_the_standard_library(args: tuple[Any, ...]) -> None:
    try:
        expected = asdict(Theirs(*args))
    except TypeError:
        with pytest.raises(TypeError):
            Ours(*args)
    else:
        assert asdict(Ours(*args)) == expected


def test_equal_ones_have_one_hash() -> None:
    assert len({Version(1), Version(1, 0), Version(1, minor=0), Version(2)}) == 2
    assert len({Single((1,)), Single((1,)), Single((2,))}) == 2


def test_they_have_an_order_if_asked_for() -> None:
    assert sorted([Version(2), Version(1, 5), Version(1)]) == [
        Version(1),
        Version(1, 5),
        Version(2),
    ]
    assert Version(1) <= Version(1) < Version(2) >= Version(2) > Version(1)
    with pytest.raises(TypeError):
        assert Single((1,)) < Single((2,))  # type: ignore[operator]


def test_nothing_can_be_changed() -> None:
    one = Named(one=1)
    with pytest.raises(FrozenInstanceError, match=r"^cannot assign to field 'one'$"):
        one.one = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match=r"^cannot assign to field 'three'$"):
        one.three = 3  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError, match=r"^cannot delete field 'one'$"):
        del one.one
    assert [each.name for each in fields(one)] == ["one", "two"]
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize(
    ("args", "given", "message"),
    [
        ((), {}, "Named() misses the argument 'one'"),
        ((1,), {}, "Named() got more arguments than it takes"),
        ((), {"one": 1, "three": 3}, "Named() has no argument 'three'"),
    ],
)
def test_wrong_arguments_are_told(
    args: tuple[Any, ...], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        Named(*args, **given)
    assert str(caught.value) == message


def test_an_argument_given_twice_is_told() -> None:
    with pytest.raises(TypeError, match=r"^Version\(\) got more arguments than it takes$"):
        Version(1, major=2)  # type: ignore[misc]


def test_defaults_are_not_shared() -> None:
    Ours("a").tags.append("x")
    assert Ours("a").tags == []


def test_they_match() -> None:
    match Version(1, 2):
        case Version(major, minor):
            assert (major, minor) == (1, 2)
