"""What is said about a statement's growth."""

from bench.growth import growth_of


def test_a_statement_is_compared_with_itself_from_ten_thousand_rows_on() -> None:
    assert growth_of([100, 10**4, 10**5, 10**6], [0.1, 2.0, 9.0, 3.0]) == 1.5
    assert growth_of([100, 1000, 10**4], [1.0, 2.0, 3.0]) is None
