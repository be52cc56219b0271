"""Fair draws: every beginning is a fair share of each synset."""

from collections import Counter

from alexrep.ilsvrc import fair

POOLS = {"a": [("a", n) for n in range(40)], "b": [("b", n) for n in range(40)], "c": [("c", 0)]}


def shares(images: list[tuple[str, int]]) -> Counter[str]:
    return Counter(wnid for wnid, _ in images)


def test_the_first_n_are_equal_shares_and_what_one_lacks_comes_from_the_others() -> None:
    drawn = fair.equal_shares(POOLS, 1, 2)
    assert shares(drawn[:3]) == {"a": 1, "b": 1, "c": 1}
    assert shares(drawn[:21]) == {"a": 10, "b": 10, "c": 1}
    assert sorted(drawn) == sorted(image for pool in POOLS.values() for image in pool)


def test_a_remainder_goes_to_synsets_in_random_order() -> None:
    first = {fair.equal_shares(POOLS, seed, 2)[0][0] for seed in range(20)}
    assert first == {"a", "b", "c"}
    twice = [fair.equal_shares(POOLS, seed, 2) for seed in (1, 1, 2)]
    assert twice[0] == twice[1] != twice[2]


def test_shares_by_size_are_the_same_fraction_of_each() -> None:
    pools = {"a": [("a", n) for n in range(100)], "b": [("b", n) for n in range(20)]}
    assert shares(fair.shares_by_size(pools, 1)[:12]) == {"a": 10, "b": 2}


def test_the_draw_of_a_synset_does_not_depend_on_the_others() -> None:
    def alone(pools: dict[str, list[tuple[str, int]]]) -> list[tuple[str, int]]:
        return [image for image in fair.equal_shares(pools, 1, 2) if image[0] == "a"]

    assert alone(POOLS) == alone({"a": POOLS["a"]}) != POOLS["a"]
