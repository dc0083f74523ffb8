"""Two processes compute what one does with the whole batch."""

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing import spawn

from embedlab.distributed.processes import all_reduce_sum, gather_rows, rank, world_size
from embedlab.losses.covariance_isotropy import covariance_isotropy
from embedlab.losses.hardest_in_batch import hardest_in_batch_loss
from embedlab.losses.info_nce import info_nce_loss
from embedlab.losses.predictive import predictive_loss
from embedlab.losses.sigreg import random_directions, sigreg
from embedlab.losses.triplet import triplet_loss
from embedlab.losses.variance_regularisation import variance_regularisation

N_ROWS, DIMENSION, N_PROCESSES, STD = 12, 4, 2, 0.7


def contrastive(loss):
    """A loss of own queries against the documents of all processes."""

    def among_all(queries, documents):
        candidates = gather_rows(documents)
        targets = len(queries) * rank() + torch.arange(len(queries))
        forbidden = (targets.unsqueeze(1) + torch.arange(len(candidates))) % 5 == 0
        return loss(queries, candidates, targets, forbidden, 0.5)

    return among_all


DIRECTIONS = random_directions(DIMENSION, 8, seed=0).double()
LOSSES = {
    "sigreg": lambda queries, documents: sigreg(documents / STD, DIRECTIONS),
    "covariance": lambda queries, documents: covariance_isotropy(documents, STD),
    "variance": lambda queries, documents: variance_regularisation(documents, STD),
    "triplet": lambda queries, documents: triplet_loss(
        *(queries, documents, documents.flip(1).unsqueeze(1), 0.5),
        forbidden=torch.zeros(len(queries), 1, dtype=torch.bool),
    ),
    "hardest in batch": contrastive(hardest_in_batch_loss),
    "InfoNCE": contrastive(info_nce_loss),
    "predictive": predictive_loss,
    "both collectives": lambda queries, documents: (
        all_reduce_sum(queries.sum(0)) @ gather_rows(documents).square().sum(0)
    ),
}


def values_and_gradients():
    """Of each loss on this process's rows, with the gradient by a shared projection's weights."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(3, N_ROWS, DIMENSION, generator=generator, dtype=torch.float64)
    weights = (drawn[2, :DIMENSION] / 2).requires_grad_()
    own = slice(N_ROWS // world_size() * rank(), N_ROWS // world_size() * (rank() + 1))
    found = {}
    for name, loss in LOSSES.items():
        value = loss(drawn[0, own] @ weights, drawn[1, own] @ weights)
        found[name] = value.detach(), *torch.autograd.grad(value, weights)
    return found


def one_of_two(number, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=N_PROCESSES
    )
    gathered = gather_rows(torch.full((2, 1), float(number)))
    torch.save(values_and_gradients() | {"gathered": gathered}, f"{folder}/{number}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    spawn(one_of_two, args=(folder,), nprocs=N_PROCESSES)
    return [torch.load(folder / f"{number}.pt") for number in range(N_PROCESSES)]


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_two_processes_is_the_value_and_gradient_of_one(of_both, name):
    expected = values_and_gradients()[name]
    assert expected[1].any()
    for part, of_one in enumerate(expected):
        mean = sum(found[name][part] for found in of_both) / N_PROCESSES
        torch.testing.assert_close(mean, of_one, rtol=1e-6, atol=1e-9)


def test_rows_are_gathered_in_the_order_of_the_ranks(of_both):
    for found in of_both:
        assert found["gathered"].flatten().tolist() == [0, 0, 1, 1]


def test_one_process_is_alone():
    x = torch.ones(2, 3)
    assert (rank(), world_size()) == (0, 1)
    assert all_reduce_sum(x) is x
    assert gather_rows(x) is x
