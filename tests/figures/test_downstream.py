import pytest

from kecgi.figures import auroc_curves


def test_lines_stand_where_the_table_says():
    way = {
        0.0: {"auroc": 0.7, "low": 0.6, "high": 0.8},
        1.0: {"auroc": 0.9, "low": 0.85, "high": 0.92},
    }
    figure = auroc_curves(
        {"MI": {"both": way, "MI alone": {1.0: way[1.0]}}, "Transfer": {"none": way}},
        {"MI": "Share", "Transfer": "Fraction"},
        {"MI": 0.7},
    )
    first, second = figure.axes
    assert first.get_xlabel() == "Share" and second.get_title() == "Transfer"
    assert [t.get_text() for t in first.get_legend().get_texts()] == ["both", "MI alone"]
    both, alone = first.containers
    assert both.lines[0].get_ydata().tolist() == [0.7, 0.9]
    assert alone.lines[0].get_ydata().tolist() == [0.9]
    assert both.lines[0].get_xdata()[1] == pytest.approx(1.0, abs=0.02)
    (bars,) = both.lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.6, 0.8]), pytest.approx([0.85, 0.92])]
    with pytest.raises(ValueError, match="nothing drawn"):
        auroc_curves({"MI": {}}, {"MI": ""})
