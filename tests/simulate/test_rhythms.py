import pickle
from dataclasses import replace

import numpy as np
import pytest

from kecgi.geometry import AtrialShape, atrial_wall
from kecgi.geometry.atrium import openings, site
from kecgi.simulate import MitchellSchaeffer, TissueGraph
from kecgi.simulate.calibration import first_activation
from kecgi.simulate.reentry import line_through
from kecgi.simulate.rhythms import (
    CYCLES_MS,
    RHYTHMS,
    RhythmError,
    RhythmPlan,
    draw_fibrosis,
    draw_plan,
    induce,
    measure,
    objection,
    play,
)

SHORT = MitchellSchaeffer(tau_close=45.0, tau_open=100.0)


@pytest.fixture(scope="module")
def heart():
    return atrial_wall(AtrialShape(), 2.0)


def reentry(rhythm, lines, **fields):
    return RhythmPlan(rhythm, 0.45, SHORT, 220.0, 500.0, lines=tuple(lines), **fields)


def through_wall(heart, label, first, second):
    centre = heart.voxels_mm[heart.labels[heart.mask] == label].mean(axis=0)
    first, second = (np.array(d, float) / np.linalg.norm(d) for d in (first, second))
    return line_through(centre, first, second)


@pytest.fixture(scope="module")
def rotors(heart):
    """Lines through either atrium, each through the wall twice."""
    return [
        through_wall(heart, 1, (0.2, 0.95, 0.0), (0.3, 0.1, 0.9)),
        through_wall(heart, 2, (-1.0, 0.0, 0.2), (-0.3, 1.0, -0.3)),
    ]


@pytest.fixture(scope="module")
def around_valve(heart):
    mitral, vein = openings(heart)[:2]
    return [line_through(mitral.centre_mm, mitral.direction, vein.direction)]


@pytest.mark.parametrize("rhythm", ["sinus", "ectopic"])
def test_paced_rhythms_start_where_they_should(heart, rhythm):
    where = site(heart, "sinus node" if rhythm == "sinus" else "left superior pulmonary vein")
    plan = RhythmPlan(rhythm, 0.7, MitchellSchaeffer(tau_close=70.0), 420.0, 0.0, site=where)
    episode = play(heart, plan, 900.0)
    assert episode.report.cycle_ms == pytest.approx(420, abs=6)
    assert episode.report.rotors == 0 and episode.report.reached == 1
    times = first_activation(episode.frames[350:])  # the second beat
    away = np.linalg.norm(heart.voxels_mm - heart.voxels_mm[where], axis=1)
    assert away[np.argsort(times)[:20]].max() < 10
    assert np.corrcoef(times, away)[0, 1] > 0.8


def test_eikonal_fronts_arrive_as_the_monodomain_ones(heart):
    plan = RhythmPlan("sinus", 0.7, MitchellSchaeffer(tau_close=70.0), 600.0, 100.0, site=50)
    frames = {
        f: play(heart, plan, 1300.0, fronts=f).frames[450:] for f in ("monodomain", "eikonal")
    }
    times = {f: first_activation(v) for f, v in frames.items()}
    difference = times["monodomain"] - times["eikonal"]
    assert np.std(difference) < 5 and abs(np.median(difference)) < 10
    assert np.ptp(times["eikonal"]) > 100
    # the same action potentials
    held = {f: (v > 0.2).sum(axis=0) for f, v in frames.items()}
    assert np.median(held["monodomain"]) == pytest.approx(np.median(held["eikonal"]), rel=0.1)


def test_fibrillation_goes_on(heart, rotors):
    episode = play(heart, reentry("fibrillation", rotors), 600.0)
    report = episode.report
    assert report.rotors >= 1 and report.silent_ms < 20
    low, high = CYCLES_MS["fibrillation"]
    assert low < report.cycle_ms < high


def test_macro_reentry_is_regular_and_has_no_rotor(heart, around_valve):
    report = play(heart, reentry("macro_reentry", around_valve), 600.0).report
    assert report.turning < 0.1 and report.cycle_spread < 0.1


def test_no_run_is_passed_on_under_a_wrong_label(heart, rotors, around_valve):
    with pytest.raises(RhythmError, match="fibrillation was asked for, but it organised"):
        play(heart, reentry("fibrillation", around_valve), 600.0)
    with pytest.raises(RhythmError, match="macro_reentry was asked for, but it broke up") as error:
        play(heart, reentry("macro_reentry", rotors), 600.0)
    assert error.value.report.rotors >= 1
    # two ends of a line so close together that they meet
    close = through_wall(heart, 1, (0.2, 0.95, 0.0), (0.3, 0.9, 0.15))
    with pytest.raises(RhythmError, match="it died out: nothing activates for 600 ms"):
        play(heart, reentry("fibrillation", [close]), 600.0)
    # tissue that can't follow
    slow = MitchellSchaeffer(tau_close=200.0)
    plan = RhythmPlan("ectopic", 0.6, slow, 250.0, 600.0, site=50)
    with pytest.raises(RhythmError, match="paced every 250 ms"):
        play(heart, plan, 1100.0)


def test_the_error_survives_a_worker_process(heart):
    plan = RhythmPlan("sinus", 0.6, SHORT, 700.0, 0.0, site=3)
    silent = measure(TissueGraph.from_heart(heart), np.zeros((100, heart.mask.sum()), np.float32))
    assert silent.silent_ms == 100 and np.isnan(silent.cycle_ms)
    error = RhythmError(objection(plan, silent), silent)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "the cycle is nan ms, paced every 700 ms"
    assert again.report.silent_ms == 100


def test_eikonal_fronts_are_refused_in_reentry(heart, rotors):
    with pytest.raises(ValueError, match="can't re-excite, so there is no fibrillation"):
        play(heart, reentry("fibrillation", rotors), 100.0, fronts="eikonal")
    with pytest.raises(ValueError, match="fronts is 'bidomain'"):
        play(heart, reentry("fibrillation", rotors), 100.0, fronts="bidomain")


def test_objections_to_irregular_and_unreached():
    plan = reentry("macro_reentry", [])
    good = dict(
        cycle_ms=220.0, cycle_spread=0.02, reached=1.0, silent_ms=5.0, rotors=0.0, turning=0
    )
    from kecgi.simulate.rhythms import RhythmReport

    report = RhythmReport(**good)
    assert objection(plan, report) is None
    assert "irregular" in objection(plan, replace(report, cycle_spread=0.4))
    assert "expected 120 to 450 ms" in objection(plan, replace(report, cycle_ms=90.0))
    paced = RhythmPlan("sinus", 0.6, SHORT, 220.0, 0.0, site=3)
    assert objection(paced, report) is None
    assert "80 % of the tissue" in objection(paced, replace(report, reached=0.8))
    assert "rotor" in objection(paced, replace(report, turning=0.5))


def test_plans_repeat_and_differ(heart):
    for rhythm in RHYTHMS:
        first, again, other = (
            draw_plan(rhythm, heart, np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        assert (first.speed_mm_per_ms, first.cell) == (again.speed_mm_per_ms, again.cell)
        assert first.speed_mm_per_ms != other.speed_mm_per_ms
        np.testing.assert_array_equal(np.array(first.lines), np.array(again.lines))
        assert (first.site is None) == (rhythm in ("macro_reentry", "fibrillation"))
    with pytest.raises(ValueError, match="rhythm 'flutter' is unknown"):
        draw_plan("flutter", heart, np.random.default_rng(0))


def test_fibrosis_is_in_round_patches(heart):
    at = heart.voxels_mm
    slowing = draw_fibrosis(at, 1, np.random.default_rng(0))
    inside = slowing < 1
    assert 0.4 <= slowing[inside].min() == slowing[inside].max() <= 0.7
    assert np.ptp(at[inside], axis=0).max() <= 28
    plan = replace(reentry("macro_reentry", []), slowing=slowing)
    assert plan.fibrosis == pytest.approx(inside.mean())


def test_beats_vary_about_their_cycle():
    plan = RhythmPlan("sinus", 0.6, SHORT, 700.0, 0.0, site=3, jitter=0.05, seed=4)
    beats = plan.beats_ms(20_000)
    assert beats[0] == 0 and beats[-1] < 20_000
    assert np.diff(beats).mean() == pytest.approx(700, rel=0.05)
    assert 10 < np.diff(beats).std() < 60


def test_s2_in_the_vulnerable_window_induces_what_phase_initialisation_does():
    """The same each time; an earlier or later S2 leaves nothing that turns."""
    left = atrial_wall(AtrialShape(right=False), 2.0)
    first, second = (
        site(left, f"{place} pulmonary vein") for place in ("left superior", "right inferior")
    )
    asked = RhythmPlan("fibrillation", 0.45, SHORT, 220.0, 500.0)
    plan = induce(left, asked, first, second, [100, 170], 400.0)
    assert [s.start_ms for s in plan.stimuli] == [0, 170] and not plan.lines
    assert len(plan.stimuli[1].voxels) > 3 * len(plan.stimuli[0].voxels)
    episodes = [play(left, plan, 300.0) for _ in range(2)]
    np.testing.assert_array_equal(episodes[0].frames, episodes[1].frames)
    assert episodes[0].report.rotors >= 1
    for outside in (60, 260):
        with pytest.raises(RhythmError, match=f"no S2 between {outside} and {outside} ms"):
            induce(left, asked, first, second, [outside], 400.0)
    paced = RhythmPlan("sinus", 0.6, SHORT, 700.0, 0.0, site=3)
    with pytest.raises(ValueError, match="sinus can't be induced"):
        induce(left, paced, first, second, [100], 400.0)
