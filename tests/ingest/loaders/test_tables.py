from __future__ import annotations

from ingest.loaders.tables import markdown_table


def test_cells_are_one_line_and_pipes_escaped() -> None:
    assert (
        markdown_table([["a", "b|c"], ["1\n2", "x\\|y"]]) == "| a | b\\|c |\n| --- | --- |\n| 1 2 | x\\|y |"
    )


def test_rows_are_filled_up_and_empty_edges_left_out() -> None:
    assert markdown_table([["a", "", ""], [], ["1", "2", ""]]) == "| a |  |\n| --- | --- |\n| 1 | 2 |"


def test_a_table_without_a_header_has_an_empty_one() -> None:
    assert markdown_table([["a", "b"]], header=False) == "|  |  |\n| --- | --- |\n| a | b |"


def test_nothing_is_no_table() -> None:
    assert markdown_table([]) == "" == markdown_table([["", " "], []])
