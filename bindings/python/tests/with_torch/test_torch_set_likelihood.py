"""The likelihood of label sets against the enumeration of all of them."""

from __future__ import annotations

from itertools import combinations

import pytest

torch = pytest.importorskip("torch")

from tagwise.torch import (  # noqa: E402
    BinaryCrossEntropyLoss,
    PickAllLabelsLoss,
    SetLikelihoodLoss,
    named_loss,
    set_likelihood_loss,
)

NUM_CLASSES = 7


def all_sets(most):
    sets = [s for m in range(most + 1) for s in combinations(range(NUM_CLASSES), m)]
    hot = torch.zeros(len(sets), NUM_CLASSES, dtype=torch.bool)
    for row, labels in enumerate(sets):
        hot[row, list(labels)] = True
    return hot


def logits(seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(NUM_CLASSES, generator=generator, dtype=torch.float64)


def potentials(most, seed=1):
    return torch.randn(most + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("most", range(NUM_CLASSES + 1))
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_it_is_the_logarithm_of_a_distribution_over_sets(most, scale):
    sets, z, c = all_sets(most), logits(scale=scale), potentials(most)
    scores = torch.where(sets, z, 0.0).sum(1) + c[sets.sum(1)]
    expected = torch.logsumexp(scores, 0) - scores
    found = set_likelihood_loss(z.expand(len(sets), -1), sets, multiplicities=c, reduction="none")
    assert ((found - expected).abs() < 1e-12 * (1 + expected)).all()
    assert torch.logsumexp(-found, 0).abs() < 1e-12


def test_slopes_are_inclusion_probabilities_less_the_set():
    sets, z, c = all_sets(3), logits().requires_grad_(), potentials(3).requires_grad_()
    found = set_likelihood_loss(z.expand(len(sets), -1), sets, multiplicities=c, reduction="none")
    p = torch.exp(-found.detach())
    hot = sets[40]
    by_z, by_c = torch.autograd.grad(found[40], (z, c))
    assert torch.allclose(by_z, (p.unsqueeze(1) * sets).sum(0) - hot.double(), atol=1e-12)
    sizes = torch.nn.functional.one_hot(sets.sum(1), 4)
    assert torch.allclose(by_c, (p.unsqueeze(1) * sizes).sum(0) - sizes[40], atol=1e-12)
    one = z.detach()[None].requires_grad_()
    torch.autograd.gradcheck(lambda z, c: set_likelihood_loss(z, hot[None], multiplicities=c), (one, c))
    torch.autograd.gradgradcheck(lambda z, c: set_likelihood_loss(z, hot[None], multiplicities=c), (one, c))


def test_outputs_behind_the_logits_are_added_to_the_potentials():
    sets, z, c = all_sets(2), logits(), potentials(2)
    extra = potentials(2, seed=5)
    together = set_likelihood_loss(
        torch.cat([z, extra]).expand(len(sets), -1), sets, multiplicities=c, reduction="none"
    )
    expected = set_likelihood_loss(z.expand(len(sets), -1), sets, multiplicities=c + extra, reduction="none")
    assert torch.allclose(together, expected, rtol=1e-13)


def test_without_potentials_it_is_binary_cross_entropy():
    sets, z = all_sets(NUM_CLASSES), logits()
    rows = z.expand(len(sets), -1)
    expected = BinaryCrossEntropyLoss()(rows, sets)
    assert torch.allclose(named_loss("set-likelihood")(rows, sets), expected, rtol=1e-13)
    zeros = torch.zeros(NUM_CLASSES + 1, dtype=torch.float64)
    assert torch.allclose(set_likelihood_loss(rows, sets, multiplicities=zeros), expected, rtol=1e-12)


def test_pick_all_labels_less_log_m_factorial_is_an_upper_bound_when_m_is_given():
    z, sets = logits(), all_sets(3)
    sets = sets[sets.sum(1) == 3]
    c = torch.tensor([-1e6, -1e6, -1e6, 0.0], dtype=torch.float64)
    rows = z.expand(len(sets), -1)
    ours = set_likelihood_loss(rows, sets, multiplicities=c, reduction="none")
    assert (ours <= PickAllLabelsLoss(reduction="none")(rows, sets) - torch.tensor(6.0).log() + 1e-9).all()


def test_the_most_probable_set_is_found_exactly():
    sets = all_sets(3)
    for seed in range(20):
        z, loss = logits(seed, 1.0), SetLikelihoodLoss(3).double()
        with torch.no_grad():
            loss.multiplicities.copy_(potentials(3, seed))
        each = set_likelihood_loss(
            z.expand(len(sets), -1), sets, multiplicities=loss.multiplicities, reduction="none"
        )
        assert torch.equal(loss.most_probable(z[None])[0], sets[each.argmin()])
    assert torch.equal(SetLikelihoodLoss().most_probable(z), z > 0)


def test_masked_logits_are_left_out():
    z, c = logits(), potentials(2)
    targets = torch.zeros(1, NUM_CLASSES)
    targets[0, 2] = 1
    kept = [0, 2, 3, 5, 6]
    masked = z.clone()
    masked[[1, 4]] = -torch.inf
    masked.requires_grad_()
    found = set_likelihood_loss(masked[None], targets, multiplicities=c)
    (slopes,) = torch.autograd.grad(found, masked)
    assert torch.allclose(found, set_likelihood_loss(z[None, kept], targets[:, kept], multiplicities=c))
    assert slopes.isfinite().all() and (slopes[[1, 4]] == 0).all()


@pytest.mark.parametrize(("num_classes", "most"), [(983, 25), (1, 1), (33, 5)])
def test_large_and_small_sizes_in_f32(num_classes, most):
    generator = torch.Generator().manual_seed(0)
    z = 5 * torch.randn(4, num_classes, generator=generator)
    targets = torch.zeros(4, num_classes)
    targets[:, 0] = 1
    loss = SetLikelihoodLoss(most, reduction="none")
    exact = loss.double()(z.double(), targets)
    found = loss.float()(z, targets)
    assert torch.allclose(found.double(), exact, rtol=1e-5, atol=1e-6)


def test_it_learns_how_many_labels_there_are_and_compiles():
    targets = torch.zeros(50, 4, dtype=torch.bool)
    targets[torch.arange(50), torch.arange(50) % 4] = True
    loss = SetLikelihoodLoss(2)
    optimiser = torch.optim.SGD(loss.parameters(), lr=5.0)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for _ in range(200):
        optimiser.zero_grad()
        compiled(torch.zeros(50, 4), targets).backward()
        optimiser.step()
    assert loss(torch.zeros(50, 4), targets) < torch.tensor(4.0).log() + 0.02  # only which one is open
    each = torch.func.vmap(SetLikelihoodLoss(2, reduction="none"))(torch.zeros(50, 4), targets)
    assert torch.allclose(each, torch.full((50,), 11.0).log())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SetLikelihoodLoss(-1), "expected max_multiplicity of at least 0, found -1"),
        (lambda: SetLikelihoodLoss(1)(torch.zeros(1, 3), torch.ones(1, 3)), "expected label sets of at most 1 labels, which have a probability, found 3"),
        (lambda: SetLikelihoodLoss(4)(torch.zeros(1, 3), torch.ones(1, 3)), "expected multiplicities of shape [M + 1] with M from 0 to 3, found [5]"),
        (lambda: SetLikelihoodLoss(1)(torch.zeros(1, 4), torch.zeros(1, 3)), "expected outputs of the 3 classes and 0 or 2 multiplicities, found 1 numbers"),
        (lambda: SetLikelihoodLoss()(torch.zeros(1, 4), torch.zeros(1, 3)), "expected outputs of the 3 classes and 0 multiplicities"),
        (lambda: SetLikelihoodLoss(1)(torch.zeros(2, 3), torch.zeros(1, 3)), "expected logits and targets of one shape"),
        (lambda: SetLikelihoodLoss(1)(torch.zeros(1, 3), [[0, 1, 0]]), "expected targets as a torch.Tensor, found list"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError)) as failure:
        call()
    assert message in str(failure.value)
