import numpy as np
import pytest

from kecgi.figures import learning_curves, model_comparison


def test_a_panel_a_metric_with_both_curves():
    history = {"loss": [3.0, 2, 1], "kl": [0.1, 0.2, 0.3], "val_loss": [3.5, 2.5, 2]}
    figure = learning_curves(history, {"kl": "KL (nats)"})
    loss, kl = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3, 2, 1], [3.5, 2.5, 2]]
    assert loss.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert (loss.get_ylabel(), kl.get_ylabel(), kl.get_xlabel()) == ("loss", "KL (nats)", "Epoch")
    assert len(kl.lines) == 1
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["training", "validation"]


def test_scale_follows_the_range():
    figure = learning_curves({"loss": 10.0 ** -np.arange(4), "kl": [-1.0, 0, 500]})
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"]


def test_one_epoch_is_visible():
    axes = learning_curves({"loss": [1.0]}).axes[0]
    assert axes.lines[0].get_marker() == "o"


def test_bars_and_intervals_of_models():
    table = {
        "model": {"mae_ms": 6.0, "mae_ms_interval": [5.0, 7.0], "r2": 0.9, "r2_interval": None},
        "mean": {"mae_ms": 30.0, "r2": 0.0},
        "nearest": {"mae_ms": 40.0, "r2": -0.2, "r2_interval": [-0.4, -0.1]},
    }
    figure = model_comparison(table, highlight=["model"])
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [6, 30, 40]
    assert [bar.get_width() for bar in right.patches] == [0.9, 0, -0.2]
    assert (left.get_xlabel(), right.get_xlabel()) == ("MAE (ms)", "Skill (R², training mean: 0)")
    assert [text.get_text() for text in left.get_yticklabels()] == list(table)
    assert list(left.lines[0].get_xdata()) == [5, 7]
    assert right.get_xlim()[0] < -0.4
    assert [text.get_text() for text in right.texts] == ["0.90", "0.00", "−0.20"]
    colours = [bar.get_facecolor() for bar in left.patches]
    assert colours[0] != colours[1] == colours[2]


def test_undefined_metrics_are_said_to_be():
    table = {"a": {"correlation": 0.5}, "b": {"correlation": None, "correlation_interval": None}}
    axes = model_comparison(table, {"correlation": "Correlation"}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.50", "undefined"]


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="history is empty"):
        learning_curves({})
    with pytest.raises(ValueError, match="table is empty"):
        model_comparison({})
    with pytest.raises(ValueError, match="'other', which is not in"):
        model_comparison({"model": {"mae_ms": 1.0, "r2": 0.5}}, highlight=["other"])
