"""What a cardiologist would look for in the waves of a normal, an infarcted and a thick heart."""

from dataclasses import replace

import numpy as np
import pytest

from kecgi.geometry import BiventricularShape, biventricular, standard_12, twelve_leads
from kecgi.geometry.electrodes import LEADS_12
from kecgi.geometry.wall import wall_position
from kecgi.simulate import ecg12
from kecgi.simulate.action_potential import action_potential
from kecgi.simulate.ecg12 import CELL, Conduction, Infarct, Repolarisation

SHAPE = BiventricularShape(lv_radius_mm=29, lv_wall_mm=9.5, turn_deg=-17)
CONDUCTION = Conduction()


def leads(wave):
    values = twelve_leads(wave.potentials_mv, standard_12().names)
    return dict(zip(LEADS_12, values, strict=True))


@pytest.fixture(scope="module")
def heart():
    return biventricular(SHAPE, (64, 64, 64), 2.5)


@pytest.fixture(scope="module")
def wall(heart):
    return wall_position(heart, SHAPE.axes())


@pytest.fixture(scope="module")
def normal(heart, wall):
    source = ecg12.ventricles(heart, wall)
    times = ecg12.activate(source, CONDUCTION)
    return source, times, ecg12.ventricular_wave(source, times, CONDUCTION, Repolarisation())


def test_activation_lasts_as_in_human_ventricles(normal):
    source, times, _ = normal
    assert times.min() < 5
    assert 55 < times.max() < 95  # Durrer 1970: the last parts between 60 and 80 ms
    # from the endocardium outwards, and the posterobasal wall among the last
    thick = source.wall.left & (np.abs(source.wall.angle_deg) > 90)
    inner, outer = (
        times[thick & side].mean() for side in (source.wall.depth < 0.3, source.wall.depth > 0.7)
    )
    assert outer - inner > 8


def test_normal_qrs(normal):
    qrs = {name: x[:130] for name, x in leads(normal[2]).items()}
    for name in ("I", "II", "V5", "V6"):
        assert qrs[name].max() > 2 * -qrs[name].min(), name  # upright
        assert 0.3 < qrs[name].max() < 3, name  # mV
    for name in ("aVR", "V1"):
        assert -qrs[name].min() > 2 * qrs[name].max(), name  # downward
    # R grows beside S from V1 to V5
    share = [qrs[f"V{i}"].max() / np.ptp(qrs[f"V{i}"]) for i in range(1, 6)]
    assert share[0] < 0.35 and share[4] > 0.7
    assert np.argmax([qrs[f"V{i}"].max() for i in range(1, 7)]) >= 3
    # septal forces: a small q in V6 while V1 has its r
    assert np.argmin(qrs["V6"]) < np.argmax(qrs["V6"])
    axis = np.degrees(np.arctan2(2 / np.sqrt(3) * qrs["aVF"].sum(), qrs["I"].sum()))
    assert -30 < axis < 90


def test_t_is_upright_where_qrs_is(normal):
    t = {name: x[200:] for name, x in leads(normal[2]).items()}
    for name in ("I", "II", "V3", "V4", "V5", "V6"):
        assert 0.05 < t[name].max() < 1 and t[name].max() > 4 * -t[name].min(), name
    assert -t["aVR"].min() > 4 * t["aVR"].max()
    peak_ms = np.argmax(t["V5"]) + 180
    assert 230 < peak_ms < 360


def test_equal_action_potentials_turn_t_over(normal):
    """With one action potential everywhere QRS and T have areas that cancel."""
    source, times, _ = normal
    same = Repolarisation(per_activation=0.0, transmural_ms=0.0)
    wave = ecg12.ventricular_wave(source, times, CONDUCTION, same)
    for name, x in leads(wave).items():
        assert abs(x.sum()) < 0.02 * np.abs(x).sum(), name


def test_apd_sets_qt(normal):
    source, times, wave = normal
    longer = ecg12.ventricular_wave(source, times, CONDUCTION, Repolarisation(apd_ms=370))
    before, after = (np.argmax(leads(w)["V5"][200:]) for w in (wave, longer))
    assert after - before == pytest.approx(60, abs=8)


@pytest.mark.parametrize(
    ("angle", "height", "facing"), [(-55, 0.4, "V4"), (75, 0.5, "III"), (165, 0.45, "V6")]
)
def test_infarct_takes_forces_from_the_lead_that_faces_it_and_turns_t(
    heart, wall, normal, angle, height, facing
):
    source = ecg12.ventricles(heart, wall, infarct=Infarct(angle, height, radius_mm=24))
    assert len(source.graph) < 0.95 * len(normal[0].graph)
    times = ecg12.activate(source, CONDUCTION)
    assert np.isfinite(times).all()
    wave = ecg12.ventricular_wave(source, times, CONDUCTION, Repolarisation())
    sick, well = leads(wave)[facing], leads(normal[2])[facing]
    # the first 50 ms point away from the scar: a Q wave or a smaller R
    assert well[20:70].mean() - sick[20:70].mean() > 0.05
    assert well[250:].max() > 4 * -well[250:].min()
    assert sick[250:].min() < -0.1 and -sick[250:].min() > sick[250:].max()


def test_injury_lifts_st_over_the_infarct(heart, wall):
    shifts = []
    for injury in (0.0, 0.3):
        source = ecg12.ventricles(heart, wall, infarct=Infarct(-55, 0.4, injury=injury))
        times = ecg12.activate(source, CONDUCTION)
        wave = ecg12.ventricular_wave(source, times, CONDUCTION, Repolarisation())
        shifts.append(leads(wave)["V3"][150:170].mean())
    assert shifts[1] - shifts[0] > 0.1


def test_thick_ventricle_has_a_larger_voltage(normal):
    shape = replace(SHAPE, lv_radius_mm=36, lv_wall_mm=17)
    thick = biventricular(shape, (64, 64, 64), 2.5)
    source = ecg12.ventricles(thick, wall_position(thick, shape.axes()))
    wave = ecg12.ventricular_wave(
        source, ecg12.activate(source, CONDUCTION), CONDUCTION, Repolarisation()
    )

    def sokolow_lyon(wave):
        qrs = {name: x[:160] for name, x in leads(wave).items()}
        return max(qrs["V5"].max(), qrs["V6"].max()) - qrs["V1"].min()

    assert sokolow_lyon(wave) > 1.2 * sokolow_lyon(normal[2])


@pytest.fixture(scope="module")
def chambers(heart):
    return ecg12.atrial_chambers(heart, SHAPE.axes())


def test_p_wave(chambers):
    wave = leads(ecg12.atrial_wave(chambers, CONDUCTION))
    p = {name: x[:150] for name, x in wave.items()}
    for name in ("I", "II", "aVF"):
        assert 0.04 < p[name].max() < 0.3, name
    assert p["aVR"].min() < -0.04
    assert p["V1"].max() > 0.01 and p["V1"].min() < -0.01  # biphasic
    large = np.flatnonzero(np.abs(p["II"]) > 0.15 * p["II"].max())
    assert 60 < large[-1] - large[0] < 125  # ms


def test_fibrillation_covers_the_atria_in_regions(chambers):
    waves = ecg12.fibrillating_waves(chambers, CONDUCTION, np.random.default_rng(0), drivers=5)
    assert len(waves) == 5
    whole = np.abs(leads(ecg12.atrial_wave(chambers, CONDUCTION))["II"]).max()
    for wave in waves:
        assert np.isfinite(wave.potentials_mv).all()
        assert np.abs(leads(wave)["II"]).max() < 1.5 * whole


def test_waves_of_one_source_add_up(chambers):
    """Rows of the lead field may be split: potentials are linear in the sources."""
    first, second = (
        ecg12.fibrillating_waves(chambers, CONDUCTION, np.random.default_rng(s), drivers=1)[0]
        for s in (1, 1)
    )
    np.testing.assert_allclose((first + second).potentials_mv, 2 * first.potentials_mv)


def test_cell_is_stretched_in_time():
    template = action_potential(CELL)
    twice = template.stretched(2.0)
    assert twice.duration_ms() == pytest.approx(2 * template.duration_ms(), rel=1e-6)
    at = np.linspace(-5, 400, 50)
    np.testing.assert_allclose(twice(2 * at), template(at), atol=1e-12)
    with pytest.raises(ValueError, match="factor is 0"):
        template.stretched(0)
