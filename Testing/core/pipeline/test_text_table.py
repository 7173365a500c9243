from FlareMRCore.pipeline.text_table import TextTable, number_text


def test_cells_are_quoted_where_they_need_it() -> None:
    table = TextTable(("a", "b"), (("x, y", "1|2"), ("line\nbreak", '"')))
    assert table.csv() == 'a,b\n"x, y",1|2\n"line\nbreak",""""\n'
    assert table.markdown() == '| a | b |\n| --- | --- |\n| x, y | 1\\|2 |\n| line break | " |\n'


def test_numbers_that_are_not_there_are_empty() -> None:
    assert [number_text(None), number_text(0.0), number_text(2.345, 1)] == ["", "0.000", "2.3"]


def test_columns_of_numbers_are_to_the_right() -> None:
    table = TextTable(("a", "b", "c"), (("x", "-0.5", ""), ("1", "", "")))
    assert table.markdown().splitlines()[1] == "| --- | ---: | --- |"
