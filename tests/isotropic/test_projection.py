import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from torch.nn.functional import normalize

from embedlab.errors import InputError
from embedlab.isotropic.projection import GaussianProjection, ProjectionParameters

WIDTH = 12


def unit_vectors(n=200, seed=0):
    """Unit vectors away from the origin, with a spectrum that rises."""
    torch.manual_seed(seed)
    return normalize(torch.randn(n, WIDTH) * torch.linspace(0.2, 2, WIDTH) + 0.5, dim=1)


def projection(seed=0, **parameters):
    torch.manual_seed(seed)
    return GaussianProjection(WIDTH, ProjectionParameters(**parameters)).eval()


def trained(**parameters):
    """A projection that is away from its start in every parameter."""
    model = projection(**parameters)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) / 2
    return model


@pytest.mark.parametrize("output_dim", [None, WIDTH, WIDTH + 5])
def test_the_euclidean_order_is_at_first_the_order_by_cosine(output_dim):
    vectors = unit_vectors()
    model = projection(output_dim=output_dim)
    model.initialise(vectors)
    with torch.no_grad():
        projected = model(vectors)
    cosines = vectors[:20] @ vectors.T
    distances = torch.cdist(projected[:20].double(), projected.double())
    torch.testing.assert_close(distances**2, 2 - 2 * cosines.double(), atol=1e-5, rtol=0)
    assert torch.equal(distances.argmin(dim=1), torch.arange(20))


def test_nothing_but_the_mean_is_moved_where_the_width_stays():
    vectors = unit_vectors()
    model = projection()
    torch.testing.assert_close(model(vectors), vectors)
    model.initialise(vectors)
    torch.testing.assert_close(model(vectors), vectors - vectors.mean(dim=0))


def test_a_narrower_output_keeps_the_principal_components():
    vectors = unit_vectors()
    model = projection(output_dim=4)
    at_first = pdist(model(vectors).detach().numpy())
    model.initialise(vectors)
    projected = model(vectors).detach().numpy()
    expected = PCA(n_components=4, svd_solver="full").fit_transform(vectors.numpy())
    np.testing.assert_allclose(np.abs(projected), np.abs(expected), atol=1e-5)
    true = pdist(vectors.numpy())
    # A projection only shortens distances; the principal one shortens least.
    assert (pdist(projected) <= true + 1e-6).all()
    assert (true**2 - pdist(projected) ** 2).sum() < 0.9 * (true**2 - at_first**2).sum()


def test_a_sample_smaller_than_the_output_gives_an_isometry_on_it():
    vectors = unit_vectors(n=3)
    model = projection(output_dim=8)
    model.initialise(vectors)
    projected = model(vectors).detach().numpy()
    np.testing.assert_allclose(pdist(projected), pdist(vectors.numpy()), atol=1e-6)


def test_the_mlp_is_the_documented_one_and_stays_random():
    model = projection(kind="mlp", output_dim=8)
    sizes = [tuple(parameter.shape) for parameter in model.parameters()]
    assert sizes == [(2 * WIDTH, WIDTH), (2 * WIDTH,), (8, 2 * WIDTH), (8,)]
    assert model.hidden[2].p == 0.1
    before = model(unit_vectors())
    model.initialise(unit_vectors())
    assert torch.equal(model(unit_vectors()), before)
    assert not torch.equal(projection(seed=1, kind="mlp", output_dim=8)(unit_vectors()), before)


@pytest.mark.parametrize("kind", ["residual", "mlp"])
def test_outputs_are_not_normalised_and_every_parameter_learns(kind):
    model = trained(kind=kind, output_dim=7)
    projected = model(unit_vectors().unsqueeze(1))
    assert projected.shape == (200, 1, 7)
    assert projected.norm(dim=-1).std() > 0.05
    projected.square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


def test_dropout_is_of_training_only():
    model, vectors = trained(dropout=0.5), unit_vectors()
    assert torch.equal(model(vectors), model(vectors))
    model.train()
    assert not torch.equal(model(vectors), model(vectors))


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["residual", "mlp"]),
    output_dim=st.integers(1, 20),
    hidden_size=st.integers(1, 30),
    scale=st.floats(0.01, 100),
)
def test_the_dense_layers_are_the_same_function(kind, output_dim, hidden_size, scale):
    model = trained(kind=kind, output_dim=output_dim, hidden_size=hidden_size)
    vectors = unit_vectors()
    (first, first_bias), (second, second_bias) = model.dense_layers()
    hidden = torch.nn.functional.gelu(vectors @ first.T + first_bias)
    layered = hidden @ second.T + second_bias
    # However long vectors are, they count as unit vectors.
    torch.testing.assert_close(layered, model(scale * vectors), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"kind": "linear"}, {"output_dim": 0}, {"dropout": 1.0}, {"hiden_size": 3}]
)
def test_wrong_parameters_are_one_line(wrong):
    with pytest.raises(InputError) as caught:
        ProjectionParameters.model_validate(wrong)
    assert next(iter(wrong)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_mlp_can_start_as_the_isometry_of_the_residual_form():
    sample = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    for output_dim in (4, 6, 9):
        outputs = []
        for shape in ({"kind": "residual"}, {"kind": "mlp", "start": "isometry"}):
            projection = GaussianProjection(
                6, ProjectionParameters(**shape, output_dim=output_dim, hidden_size=20)
            ).eval()
            projection.initialise(sample)
            outputs.append(projection(sample))
        torch.testing.assert_close(*outputs)


def test_an_isometric_mlp_needs_a_wide_hidden_layer():
    shape = ProjectionParameters(kind="mlp", start="isometry", hidden_size=11)
    with pytest.raises(InputError, match="hidden_size is 11; start: isometry needs 12 or more"):
        GaussianProjection(6, shape)
