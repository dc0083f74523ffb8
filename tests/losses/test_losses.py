import numpy as np
import pytest
import torch
from plain_sigreg import plain_sigreg
from torch.nn.functional import cross_entropy, normalize

from embedlab.losses import sigreg as sigreg_module
from embedlab.losses.covariance_isotropy import covariance_isotropy
from embedlab.losses.hardest_in_batch import hardest_in_batch_loss
from embedlab.losses.info_nce import info_nce_loss
from embedlab.losses.predictive import predictive_loss
from embedlab.losses.sigreg import random_directions, sigreg
from embedlab.losses.triplet import triplet_loss
from embedlab.losses.variance_regularisation import variance_regularisation


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def value_and_gradient(loss, x):
    x = x.detach().requires_grad_()
    value = loss(x)
    return value.detach(), torch.autograd.grad(value, x)[0]


def relative(found, expected):
    """The norm of the difference over the norm, in double precision."""
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("n", [1, 300, 2048])
@pytest.mark.parametrize("scale", [0.3, 1, 3])
def test_sigreg_is_its_plain_formula(n, scale, monkeypatch):
    monkeypatch.setattr(sigreg_module, "CPU_BLOCK", 2**13)
    x, directions = scale * normal(n, 48, dtype=torch.float32), random_directions(48, 37, seed=1)
    value, gradient = value_and_gradient(lambda v: sigreg(v, directions), x)
    expected, expected_gradient = value_and_gradient(
        lambda v: plain_sigreg(v, directions.double()), x.double()
    )
    assert relative(value, expected) < 1e-5
    assert relative(gradient, expected_gradient) < 1e-5


@pytest.mark.parametrize("num_knots", [2, 3, 8, 17, 40])
@pytest.mark.parametrize("t_max", [2.5, 5.0])
def test_sigreg_with_other_knots(num_knots, t_max):
    x, directions = normal(30, 6), random_directions(6, 7, seed=1).double()
    found = value_and_gradient(lambda v: sigreg(v, directions, num_knots, t_max), x)
    expected = value_and_gradient(lambda v: plain_sigreg(v, directions, num_knots, t_max), x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


def test_sigreg_has_the_gradient_of_its_value():
    directions = random_directions(5, 4, seed=1).double()
    assert torch.autograd.gradcheck(
        lambda v: sigreg(v, directions) ** 2, (normal(9, 5).requires_grad_(),)
    )


def test_sigreg_tells_normal_vectors_from_others():
    directions = random_directions(16, 64, seed=1)
    isotropic = normal(1000, 16, dtype=torch.float32)
    stretched = isotropic * torch.linspace(0.2, 1.8, 16)
    heavy_tailed = isotropic.sign() * isotropic.square() / 3**0.5  # of variance 1
    losses = [float(sigreg(x, directions)) for x in (isotropic, stretched, heavy_tailed)]
    assert losses[0] < 2 < 5 < min(losses[1:])


def test_sigreg_is_computed_in_single_precision_under_autocast():
    x, directions = normal(64, 8).bfloat16(), random_directions(8, 16, seed=1)
    directions.requires_grad_()
    expected = value_and_gradient(lambda v: sigreg(v, directions), x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(lambda v: sigreg(v, directions), x)
    assert value == expected[0]
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient.float(), expected[1], rtol=1e-2, atol=1e-4)


def test_random_directions_are_unit_columns_of_a_seed():
    directions = random_directions(32, 5, seed=3)
    assert directions.shape == (32, 5)
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(5))
    assert directions.equal(random_directions(32, 5, seed=3))
    assert not directions.equal(random_directions(32, 5, seed=4))


def test_covariance_isotropy_is_the_distance_of_the_covariance():
    x = normal(40, 6, seed=2) @ normal(6, 6, seed=3) + 5
    expected = np.linalg.norm(np.cov(x.numpy().T) / 0.5**2 - np.eye(6)) / 6
    assert float(covariance_isotropy(x, 0.5)) == pytest.approx(expected, rel=1e-12)
    white = torch.linalg.qr(x - x.mean(0)).Q * 39**0.5 * 0.5
    assert float(covariance_isotropy(white, 0.5)) < 1e-12


def test_variance_regularisation_counts_what_is_too_narrow():
    x = normal(50, 4) * torch.tensor([0.1, 0.5, 3, 0]) + 1
    std = np.sqrt(np.var(x.numpy() / 0.5, axis=0, ddof=1) + 1e-4)
    expected = np.maximum(0, 1 - std).mean()
    value, gradient = value_and_gradient(lambda v: variance_regularisation(v, 0.5), x)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    assert gradient.isfinite().all()
    assert gradient[:, 0].any()
    assert not gradient[:, 2].any()


def test_triplet_loss_by_hand():
    anchors = torch.tensor([[0.0, 0], [1, 1]])
    positives = torch.tensor([[0.0, 2], [1, 1]])
    negatives = torch.tensor([[[3.0, 4], [1, 0]], [[1, 1.25], [9, 9]]])
    none = torch.zeros(2, 2, dtype=torch.bool)
    # 0.5 + 2 - 5 < 0, 0.5 + 2 - 1 = 1.5, 0.5 + 0 - 0.25 = 0.25, and one far away.
    value, gradient = value_and_gradient(
        lambda a: triplet_loss(a, positives, negatives, 0.5, none), anchors
    )
    assert float(value) == pytest.approx(1.75 / 4)
    assert gradient.isfinite().all()


@pytest.fixture
def batch():
    """Anchors, candidates, targets and what is forbidden; anchor 3 may have no negative."""
    forbidden = normal(6, 10, seed=3) > 0.8
    forbidden[3] = True
    targets = torch.tensor([4, 0, 9, 2, 2, 7])
    return normal(6, 5, seed=1), normal(10, 5, seed=2), targets, forbidden


def allowed_negatives(batch):
    """For each anchor: itself, its positive, and the negatives that it may be compared with."""
    for anchor, target, forbidden in zip(batch[0], batch[2].tolist(), batch[3], strict=True):
        allowed = [j for j in range(len(batch[1])) if j != target and not forbidden[j]]
        yield anchor, batch[1][target], batch[1][allowed]


def test_hardest_in_batch_is_the_nearest_allowed_negative(batch):
    losses = [
        max(0.0, float(2 + (a - p).norm() - (a - negatives).norm(dim=1).min()))
        if len(negatives)
        else 0.0
        for a, p, negatives in allowed_negatives(batch)
    ]
    assert losses[3] == 0 < max(losses)
    assert float(hardest_in_batch_loss(*batch, 2)) == pytest.approx(np.mean(losses), rel=1e-12)


def test_hardest_in_batch_has_a_gradient_where_texts_coincide(batch):
    same = batch[0][:1].expand(10, 5)
    _, gradient = value_and_gradient(
        lambda a: hardest_in_batch_loss(a, same, *batch[2:], 1), batch[0]
    )
    assert gradient.isfinite().all()


def test_info_nce_is_that_of_cosines_on_unit_vectors(batch):
    batch = (normalize(batch[0]), normalize(batch[1]), *batch[2:])
    losses = [
        cross_entropy(torch.cat([p[None], negatives]) @ a / 0.1, torch.tensor(0)).item()
        for a, p, negatives in allowed_negatives(batch)
    ]
    assert losses[3] == 0 < max(losses)
    assert float(info_nce_loss(*batch, 0.1)) == pytest.approx(np.mean(losses), rel=1e-12)


def test_info_nce_compares_euclidean_distances(batch):
    losses = [
        cross_entropy(-((torch.cat([p[None], negatives]) - a) ** 2).sum(1) / 4, torch.tensor(0))
        for a, p, negatives in allowed_negatives(batch)
    ]
    assert float(info_nce_loss(*batch, 2)) == pytest.approx(float(sum(losses)) / 6, rel=1e-12)


def test_predictive_loss_stops_the_gradient_of_its_targets():
    predicted, targets = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    loss = predictive_loss(predicted, targets)
    loss.backward()
    difference = (predicted - targets).detach()
    assert loss.item() == pytest.approx(difference.norm(dim=1).square().mean().item())
    torch.testing.assert_close(predicted.grad, difference / 2)
    assert targets.grad is None
