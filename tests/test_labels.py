import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator, to_names

LABELS = ("b", "a", "c")


@given(st.lists(st.sets(st.sampled_from(LABELS))))
def test_names_and_indicator_are_each_others_inverse(rows):
    back = to_names(to_indicator(rows, LABELS), LABELS)
    assert [set(names) for names in back] == rows
    assert all(names == sorted(names, key=LABELS.index) for names in back)


def test_columns_stand_in_the_order_of_the_label_set():
    assert to_indicator([["a"], ["c", "b"]], LABELS).tolist() == [[0, 1, 0], [1, 0, 1]]


def test_an_unknown_label_is_named_with_its_row():
    with pytest.raises(ClaimsError, match=r"row 2 has the label 'd'; expected one of b, a, c"):
        to_indicator([["a"], ["d"]], LABELS)


def test_no_rows_keep_the_columns():
    assert to_indicator([], LABELS).shape == (0, 3)
    assert to_names(np.zeros((0, 3)), LABELS) == []
