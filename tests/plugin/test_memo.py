"""What a memo keeps of the meanings of paths."""

from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.plugin.memo import Meanings, joined, split

TEXTS = st.text(alphabet=st.sampled_from("ab\1\n/\udcff"), max_size=3)
MEANING = st.tuples(st.sampled_from(["file", "names"]), TEXTS, TEXTS)
FEW = st.sampled_from(["", "file\0\0x", "names\0*\0y"])


@given(st.lists(MEANING, max_size=3))
def test_meanings_come_back_or_none_of_them_counts(meanings: list[tuple[str, str, str]]) -> None:
    is_kept = not any("\1" in part for meaning in meanings for part in meaning)
    assert split(joined(meanings)) == (meanings if is_kept else [])


@given(st.integers(0, 200), st.data())
def test_blocks_are_a_list_of_texts(count: int, data: st.DataObject) -> None:
    listed = [data.draw(FEW) if number % 61 == 0 else f"{number}" for number in range(count)]
    meanings = Meanings()
    for text in listed:
        meanings.append(text)
    again = Meanings(meanings.blocks(), count)
    copy = again.copy()
    if count:
        at = data.draw(st.integers(0, count - 1))
        copy[at] = "changed"
        copy.append("more")
        assert [copy[n] for n in range(len(copy))] == [
            *listed[:at],
            "changed",
            *listed[at + 1 :],
            "more",
        ]
    assert (len(again), [again[n] for n in range(count)]) == (count, listed)
