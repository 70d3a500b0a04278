"""The search for the highest load that is carried."""

from bench.search import Search


def searched(capacity: int, known: dict[int, bool], most: int = 512) -> tuple[Search, list[int]]:
    """What is found where exactly `capacity` is carried, and the loads that were tried."""
    search = Search(known=known, most=most)
    tried = []
    while (load := search.next()) is not None:
        tried.append(load)
        search.tell(load, carried=load <= capacity)
    return search, tried


def test_it_doubles_until_a_load_is_not_carried_and_then_halves_what_is_between() -> None:
    search, tried = searched(100, {16: True, 64: True})
    assert tried == [128, 96, 112, 104]
    assert (search.carried, search.failed) == (96, 104)


def test_what_is_known_is_not_tried_again() -> None:
    search, tried = searched(20, {1: True, 16: True, 64: False})
    assert not {1, 16, 64} & set(tried)
    assert search.carried <= 20 < (search.failed or 0)


def test_where_nothing_was_carried_it_goes_down() -> None:
    search, _ = searched(0, {16: False})
    assert (search.carried, search.failed) == (0, 1)


def test_it_tries_no_more_than_the_most() -> None:
    search, tried = searched(10_000, {64: True}, most=200)
    assert tried == [128, 200]
    assert (search.carried, search.failed) == (200, None)


def test_a_load_that_was_carried_above_one_that_was_not_counts_for_nothing() -> None:
    assert Search(known={16: True, 64: False, 256: True}, most=512).carried == 16
