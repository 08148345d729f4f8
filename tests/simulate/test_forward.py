"""The dipole forward problem against solid angles, symmetries and the plain matrix product."""

import numpy as np
import pytest

from kecgi.geometry import BiventricularShape, Electrodes, Heart, biventricular, plane, vest
from kecgi.simulate import (
    ActionPotential,
    MitchellSchaeffer,
    TissueGraph,
    action_potential,
    body_surface_potentials,
    lead_field,
    solve,
)
from kecgi.simulate.forward import VM_RANGE_MV, tissue_share

SIGMA_I, SIGMA_B = 0.07, 0.22
SOURCE = VM_RANGE_MV * SIGMA_I / (4 * np.pi * SIGMA_B)  # mV per steradian of a full front


def at(*positions):
    return Electrodes(tuple(f"E{i}" for i in range(len(positions))), np.array(positions, float))


def cylinder(radius=20.0, length=40.0, step=1.0):
    """Tissue along x, with the volume fractions of a round cross-section."""
    half = int(np.ceil(radius / step)) + 1
    fine = (np.arange(-half * 10, (half + 1) * 10) + 0.5) / 10 * step - step / 2
    disc = np.hypot(fine[:, None], fine) <= radius
    share = disc.reshape(2 * half + 1, 10, 2 * half + 1, 10).mean(axis=(1, 3))
    fraction = np.broadcast_to(share, (int(length / step), *share.shape)).astype(np.float32)
    return Heart(fraction >= 0.5, step, fraction=fraction)


def solid_angle(radius, away, aside=0.0):
    """Solid angle of a disc seen from a point `away` before it and `aside` of its axis."""
    r = (np.arange(400) + 0.5) / 400 * radius
    angle = (np.arange(400) + 0.5) / 400 * 2 * np.pi
    squared = (
        away**2 + (r[:, None] * np.cos(angle) - aside) ** 2 + (r[:, None] * np.sin(angle)) ** 2
    )
    return np.sum(away / squared**1.5 * r[:, None]) * radius / 400 * 2 * np.pi / 400


@pytest.fixture(scope="module")
def simulation():
    heart = biventricular(grid=(44, 44, 44), spacing_mm=3.0)
    graph = TissueGraph.from_heart(heart)
    onset = graph.positions_mm[500]
    return heart, lead_field(heart, vest(5, 8)), solve(graph, onset, 0.6)


# --- the integral -----------------------------------------------------------------------------


def test_a_disc_of_dipoles_has_the_potential_of_its_solid_angle():
    heart = cylinder()
    electrodes = at((35, 0, 0), (60, 0, 0), (45, 25, 0), (45, 0, -25), (-50, 0, 0))
    v = (heart.voxels_mm[:, 0] < 4).astype(np.float32)  # the front lies at x = 4
    phi = v @ lead_field(heart, electrodes)
    expected = SOURCE * np.array(
        [
            2 * np.pi * (1 - 31 / np.hypot(31, 20)),
            solid_angle(20, 56),
            solid_angle(20, 41, 25),
            solid_angle(20, 41, 25),
            -solid_angle(20, 54),
        ]
    )
    assert solid_angle(20, 31) == pytest.approx(2 * np.pi * (1 - 31 / np.hypot(31, 20)), rel=1e-4)
    np.testing.assert_allclose(phi, expected, rtol=0.005)


def test_a_plane_front_through_a_cylinder():
    """Time course at electrodes against an integral over solid angles along the axis."""
    heart, speed, template = cylinder(step=2.0), 0.5, action_potential()
    electrodes = at((40, 0, 0), (-45, 0, 0), (0, 60, 0))
    graph = TissueGraph.from_heart(heart)
    x = graph.positions_mm[:, 0]
    time = np.arange(0, 400, 2.0)
    phi = body_surface_potentials(
        lead_field(heart, electrodes), (x + 20) / speed, time, template.averaged(2.0 / speed)
    )
    depth = (np.arange(1600) + 0.5) / 40 - 20
    slope = template(time[:, None] - (depth + 20 + 1e-3) / speed)
    slope -= template(time[:, None] - (depth + 20 - 1e-3) / speed)
    angles = [
        [
            np.copysign(solid_angle(20, abs(e[0] - s), np.hypot(*e[1:])), e[0] - s)
            for s in depth[::8]
        ]
        for e in electrodes.positions_mm
    ]
    angles = np.repeat(angles, 8, axis=1)
    expected = -SOURCE * angles @ slope.T / 2e-3 / 40
    inside = ((time > 8) & (time < 72)) | (time > 100)  # not while the front passes an end face
    for e in range(3):
        difference = np.linalg.norm((phi[e] - expected[e])[inside])
        assert difference < 0.02 * np.linalg.norm(expected[e][inside])


def test_uniform_voltage_gives_nothing(simulation):
    heart, field, activation = simulation
    assert np.abs(field.sum(axis=0)).max() < 1e-5 * np.abs(field).sum(axis=0).max()
    phi = body_surface_potentials(
        field, np.full_like(activation, 20.0), np.arange(0, 300, 2.5), action_potential()
    )
    assert np.abs(phi).max() < 1e-5


def test_a_front_that_approaches_is_positive():
    heart = cylinder(radius=6)
    ahead, behind = at((60, 0, 0), (-60, 0, 0)), np.arange(0, 30, 1.0)
    activation = (heart.voxels_mm[:, 0] + 20) / 0.6
    phi = body_surface_potentials(lead_field(heart, ahead), activation, behind, action_potential())
    assert np.all(phi[0, 3:] > 0)
    assert np.all(phi[1, 3:] < 0)


def test_far_field_of_a_dipole_falls_with_the_square():
    heart = cylinder()
    v = (heart.voxels_mm[:, 0] < 0).astype(np.float32)
    near, far = v @ lead_field(heart, at((400, 300, 0), (800, 600, 0)))
    assert near / far == pytest.approx(4, rel=0.01)


def test_amplitude_scales_with_the_conductivities(simulation):
    heart, field, _ = simulation
    other = lead_field(heart, vest(5, 8), sigma_i=2 * SIGMA_I, sigma_b=SIGMA_B / 3)
    np.testing.assert_allclose(other, 6 * field, atol=1e-6 * np.abs(other).max())


def test_linearity(simulation):
    _, field, activation = simulation
    time = np.arange(0, 300, 2.5)
    long, short = action_potential(), action_potential(MitchellSchaeffer(tau_close=100))
    mixed = ActionPotential(long.start_ms, long.step_ms, 0.3 * long.v + 0.7 * short.v)
    assert long.start_ms == short.start_ms
    parts = [body_surface_potentials(field, activation, time, a) for a in (long, short, mixed)]
    np.testing.assert_allclose(parts[2], 0.3 * parts[0] + 0.7 * parts[1], atol=1e-6)


# --- rotation ---------------------------------------------------------------------------------


def test_joint_quarter_turn_changes_nothing(simulation):
    heart, field, _ = simulation
    around_z = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y, y to -x
    turned = Heart(
        np.rot90(heart.mask, axes=(0, 1)), 3.0, fraction=np.rot90(heart.fraction, axes=(0, 1))
    )
    number = np.full(heart.mask.shape, -1)
    number[heart.mask] = np.arange(len(field))
    same = np.rot90(number, axes=(0, 1))[turned.mask]
    np.testing.assert_allclose(turned.voxels_mm, heart.voxels_mm[same] @ around_z.T)
    electrodes = vest(5, 8)
    rotated = Electrodes(electrodes.names, electrodes.positions_mm @ around_z.T)
    expected = field[same]
    np.testing.assert_allclose(
        lead_field(turned, rotated), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_joint_rotation_by_any_angle_changes_little():
    poses = [BiventricularShape(), BiventricularShape(tilt_deg=17, spin_deg=-23, turn_deg=12)]
    turn = poses[1].axes().T @ poses[0].axes()
    electrodes, onset = vest(5, 8), np.array([19.3, -10.7, -20.7])
    time, signals = np.arange(0, 400, 2.5), []
    for pose, rotation in zip(poses, (np.eye(3), turn), strict=True):
        heart = biventricular(pose)
        graph = TissueGraph.from_heart(heart)
        around = Electrodes(electrodes.names, electrodes.positions_mm @ rotation.T)
        signals.append(
            body_surface_potentials(
                lead_field(heart, around, graph=graph),
                solve(graph, rotation @ onset, 0.6),
                time,
                action_potential().averaged(2 / 0.6),
            )
        )
    assert np.linalg.norm(signals[1] - signals[0]) < 0.08 * np.linalg.norm(signals[0])


# --- the histogram form -----------------------------------------------------------------------


@pytest.mark.parametrize("time", [np.arange(-20, 400, 2.5), np.arange(0, 200, 0.7)])
def test_histogram_form_equals_the_matrix_product(simulation, time):
    _, field, activation = simulation
    template = action_potential()
    expected = template(time[:, None] - activation) @ field
    phi = body_surface_potentials(field, activation, time, template)
    assert phi.shape == (40, time.size)
    assert phi.dtype == np.float32
    np.testing.assert_allclose(phi, expected.T, atol=1e-3 * np.abs(expected).max())


def test_classes_have_their_own_action_potentials(simulation):
    heart, field, activation = simulation
    templates = [action_potential(), action_potential(MitchellSchaeffer(tau_close=100))]
    classes = heart.labels[heart.mask] - 1
    time = np.arange(0, 400, 2.5)
    v = np.where(
        classes == 0,
        templates[0](time[:, None] - activation),
        templates[1](time[:, None] - activation),
    )
    phi = body_surface_potentials(field, activation, time, templates, classes)
    expected = (v @ field).T
    np.testing.assert_allclose(phi, expected, atol=1e-3 * np.abs(expected).max())
    alike = body_surface_potentials(field, activation, time, templates[0])
    assert np.abs(phi - alike).max() > 0.1 * np.abs(alike).max()


# --- the grid ---------------------------------------------------------------------------------


def test_share_keeps_the_volume():
    heart = biventricular()
    assert tissue_share(heart).sum() * 0.008 == pytest.approx(heart.volume_ml, rel=1e-4)
    plain = Heart(heart.mask, 2.0)
    np.testing.assert_array_equal(tissue_share(plain), 1)


def test_grid_error():
    """Against a grid of 0.8 mm; `benchmarks.simulation` has a table over several hearts."""
    onset, signals = np.array([19.3, -10.7, -20.7]), {}
    for step in (0.8, 1.5, 2.0, 3.0):
        n = int(np.ceil(112 / step))
        heart = biventricular(grid=(n, n, n), spacing_mm=step)
        graph = TissueGraph.from_heart(heart)
        signals[step] = body_surface_potentials(
            lead_field(heart, vest(5, 4), graph=graph),
            solve(graph, onset, 0.6),
            np.arange(0, 400, 2.5),
            action_potential().averaged(step / 0.6),
        )
    reference = signals.pop(0.8)
    for (step, signal), bar in zip(signals.items(), (0.03, 0.05, 0.08), strict=True):
        error = np.linalg.norm(signal - reference) / np.linalg.norm(reference)
        assert error < bar, step


# --- wrong input ------------------------------------------------------------------------------


def test_wrong_heart_or_electrodes_are_named(simulation):
    heart = simulation[0]
    with pytest.raises(ValueError, match="slice is 2-D; the forward problem needs a 3-D heart"):
        lead_field(Heart(np.ones((5, 5), bool), 1.0, name="slice"), plane())
    with pytest.raises(ValueError, match="1 electrodes lie inside biventricular .*: E1 at"):
        lead_field(heart, at((100, 0, 0), heart.voxels_mm[50]))


@pytest.mark.parametrize("name", ["sigma_i", "sigma_b"])
@pytest.mark.parametrize("value", [0.0, -0.2, np.nan, np.inf])
def test_wrong_conductivity_is_named(simulation, name, value):
    with pytest.raises(ValueError, match=f"{name} is {value} S/m, expected a positive"):
        lead_field(simulation[0], plane(), **{name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(time_ms=np.array([0.0, 1.0, 3.0])), "evenly spaced"),
        (dict(time_ms=np.array([1.0, 0.0])), "evenly spaced"),
        (dict(time_ms=np.array([1.0])), "2 times or more"),
        (dict(activation_ms=np.zeros(9)), r"shape \(9,\), expected \(10,\)"),
        (dict(activation_ms=np.r_[np.zeros(9), np.inf]), "not finite: unreached tissue"),
        (dict(action_potential=[action_potential()] * 2), "2 action potentials need classes"),
        (dict(classes=np.ones(10, int)), r"classes lie in \[1, 1\], expected 0 … 0"),
        (dict(classes=np.zeros(9, int)), r"classes have shape \(9,\), expected \(10,\)"),
    ],
)
def test_wrong_arguments_of_potentials_are_named(change, message):
    arguments = dict(
        lead_field=np.ones((10, 3), np.float32),
        activation_ms=np.arange(10.0),
        time_ms=np.arange(5.0),
        action_potential=action_potential(),
    )
    with pytest.raises(ValueError, match=message):
        body_surface_potentials(**arguments | change)
