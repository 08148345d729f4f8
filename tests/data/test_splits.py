import numpy as np
import pytest

from kecgi.data import Split, by_anatomy, by_simulation, by_slice_leaky, check_disjoint


def parts(split):
    return split.train, split.validation, split.test


def test_no_anatomy_is_in_two_parts():
    anatomy = np.repeat(np.arange(20), 12)
    split = by_anatomy(anatomy, (0.7, 0.1, 0.2), seed=4)
    sets = [set(anatomy[p]) for p in parts(split)]
    assert [len(s) for s in sets] == [14, 2, 4]
    assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts(split))), np.arange(240))
    assert split.kind == "anatomy"


def test_seed_decides():
    anatomy = np.repeat(np.arange(30), 2)
    same = by_anatomy(anatomy, seed=1).test, by_anatomy(anatomy, seed=1).test
    np.testing.assert_array_equal(*same)
    assert set(by_anatomy(anatomy, seed=2).test) != set(same[0])


def test_by_simulation_covers_all_and_may_go_without_validation():
    split = by_simulation(120, (0.8, 0.0, 0.2))
    assert [len(p) for p in parts(split)] == [96, 0, 24]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts(split))), np.arange(120))
    assert split.kind == "simulation"


def test_the_leaky_split_leaks_and_says_so():
    case_of_slice = np.repeat(np.arange(50), 20)
    split = by_slice_leaky(len(case_of_slice), seed=1)
    assert split.kind == "slice (leaky)"
    with pytest.raises(ValueError, match="groups are in train and in"):
        check_disjoint(split, case_of_slice)


def test_check_disjoint_names_the_groups():
    split = Split("anatomy", np.array([0, 1]), np.array([2]), np.array([3]))
    check_disjoint(split, np.array([0, 0, 1, 2]))
    with pytest.raises(ValueError, match=r"1 groups are in train and in test: \[7\]"):
        check_disjoint(split, np.array([0, 7, 1, 7]))


def test_each_part_gets_something():
    assert [len(p) for p in parts(by_simulation(3))] == [1, 1, 1]
    with pytest.raises(ValueError, match="2 anatomies are too few"):
        by_anatomy(np.array([0, 0, 1, 1]))


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (0.0, 0.5, 0.5), (1.2, -0.4, 0.2), (0.8, 0.2)]
)
def test_wrong_fractions(fractions):
    with pytest.raises(ValueError, match="fractions"):
        by_simulation(100, fractions)
