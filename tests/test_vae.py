"""VAEs against linear-Gaussian models where all is known, quadrature, torch.distributions, and what they can learn."""

import math
from functools import partial

import pytest
import torch
from helpers import F64, seeded
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.nets.vae import ConvVAE
from ncsn_edu.training import train
from ncsn_edu.vae import (
    BoundObjective,
    aggregate_posterior,
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    importance_bound,
    kl_to_standard,
)


class Linear:
    """x = A v + noise of variance 0.3, in three dimensions from two; the posterior is known, and q may miss it."""

    A = torch.tensor([[1.0, 0.5], [0.0, 1.2], [-0.7, 0.3]], dtype=F64)
    variance = 0.3

    def __init__(self, stretch=1.0):
        self.stretch = stretch  # of the standard deviations of q

    def posterior(self):
        precision = torch.eye(2, dtype=F64) + self.A.T @ self.A / self.variance
        return precision.inverse(), precision.inverse() @ self.A.T / self.variance

    def encode(self, x):
        cov, gain = self.posterior()
        return x @ gain.T, (self.stretch * cov.diagonal().sqrt()).expand(len(x), 2)

    def log_likelihood(self, x, v):
        return Normal(v @ self.A.T, math.sqrt(self.variance)).log_prob(x).sum(1)

    def log_prob(self, x):
        cov = self.A @ self.A.T + self.variance * torch.eye(3, dtype=F64)
        return MultivariateNormal(torch.zeros(3, dtype=F64), cov).log_prob(x)


X = torch.randn(200, 2, generator=seeded(3), dtype=F64) @ Linear.A.T
X = X + math.sqrt(0.3) * torch.randn(200, 3, generator=seeded(4), dtype=F64)


def test_the_bound_lies_below_log_p_by_the_kl_to_the_posterior():
    """log p(x) - E[ELBO] = KL(q || p(v | x)), here with a diagonal q for a correlated posterior."""
    model = Linear(1.3)
    cov, gain = model.posterior()
    draws = torch.stack([elbo(model, X, generator=seeded(i)).total for i in range(2000)])
    for i in range(3):
        q = torch.diag(model.encode(X)[1][i] ** 2)
        gap = gaussian_kl(model.encode(X)[0][i], q, gain @ X[i], cov).item()
        found = (model.log_prob(X)[i] - draws[:, i].mean()).item()
        assert found == pytest.approx(gap, abs=4 * draws[:, i].std().item() / math.sqrt(2000))


def test_importance_weighting_rises_from_the_bound_to_log_p():
    model, exact = Linear(0.8), Linear().log_prob(X).mean().item()
    bounds = [torch.stack([elbo(model, X, generator=seeded(i)).total for i in range(20)]).mean().item()]
    bounds += [
        torch.stack([importance_bound(model, X, n, generator=seeded(i)) for i in range(20)]).mean().item()
        for n in (5, 300)
    ]
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.02 and exact - bounds[2] < 0.03


def test_one_importance_weight_is_the_bound_on_average():
    model = Linear(1.3)
    ones = torch.stack([importance_bound(model, X, 1, generator=seeded(i)) for i in range(500)]).mean(0)
    elbos = torch.stack([elbo(model, X, generator=seeded(i)).total for i in range(500)]).mean(0)
    assert (ones - elbos).abs().mean() < 0.1 and (ones - elbos).mean().abs() < 0.02


def test_kl_of_full_gaussians_against_monte_carlo_and_torch():
    a, b = torch.randn(2, 3, 3, generator=seeded(1), dtype=F64)
    covs = [a @ a.T + torch.eye(3, dtype=F64), b @ b.T + 0.5 * torch.eye(3, dtype=F64)]
    means = list(torch.randn(2, 3, generator=seeded(2), dtype=F64))
    p, q = (MultivariateNormal(m, c) for m, c in zip(means, covs, strict=True))
    exact = gaussian_kl(means[0], covs[0], means[1], covs[1]).item()
    torch.manual_seed(0)
    x = p.sample((200_000,))
    ratios = p.log_prob(x) - q.log_prob(x)
    assert exact == pytest.approx(ratios.mean().item(), abs=4 * ratios.std().item() / math.sqrt(len(x)))
    assert exact == pytest.approx(kl_divergence(p, q).item(), rel=1e-9)
    assert exact != pytest.approx(gaussian_kl(means[1], covs[1], means[0], covs[0]).item(), rel=0.05)


def test_kl_to_the_prior_against_torch():
    mean, std = torch.randn(5, 4, dtype=F64), 0.1 + torch.rand(5, 4, dtype=F64)
    assert torch.allclose(kl_to_standard(mean, std), kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(1))
    assert kl_to_standard(torch.zeros(1, 3), torch.ones(1, 3)).item() == 0


def test_likelihoods_against_torch_and_integrals():
    x, mean = torch.randn(4, 2, 3, 3, dtype=F64), torch.randn(4, 2, 3, 3, dtype=F64)
    expected = Normal(mean, 0.7).log_prob(x).sum((1, 2, 3))
    assert torch.allclose(gaussian_log_likelihood(x, mean, 0.7), expected)
    stds = torch.tensor([0.1, 1.0, 2.0, 3.0], dtype=F64)
    rows = torch.stack([gaussian_log_likelihood(x[i : i + 1], mean[i : i + 1], stds[i].item())[0] for i in range(4)])
    assert torch.allclose(gaussian_log_likelihood(x, mean, stds), rows)
    line = torch.linspace(-6, 6, 401, dtype=F64)
    plane = torch.cartesian_prod(line, line)
    mass = gaussian_log_likelihood(plane, torch.tensor([0.3, -0.2], dtype=F64), 0.8).exp().sum() * (12 / 400) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-6)  # (2 pi)^(n/2), and not 2 pi^(n/2)
    bits, logits = torch.bernoulli(torch.rand(4, 1, 3, 3)), torch.randn(4, 1, 3, 3)
    assert torch.allclose(
        bernoulli_log_likelihood(bits, logits), Bernoulli(logits=logits).log_prob(bits).sum((1, 2, 3))
    )
    with pytest.raises(ValueError, match="binarise the images"):
        bernoulli_log_likelihood(bits + 0.5, logits)


def test_beta_is_the_decoder_s_variance():
    """The gradient with beta 4 and variance s^2 is four times that with beta 1 and variance 4 s^2."""
    torch.manual_seed(0)
    x = torch.rand(8, 1, 8, 8)
    slopes = []
    for beta, std in ((4.0, 0.2), (1.0, 0.4)):
        torch.manual_seed(1)
        net = ConvVAE(1, 8, 3, 8, std=std)
        BoundObjective(beta=beta, generator=seeded(0))(net, x).weighted.mean().backward()
        slopes.append(torch.cat([p.grad.flatten() / beta for p in net.parameters()]))
    assert torch.allclose(slopes[0], slopes[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("decoder", "near"), [("gaussian", 0.45), ("bernoulli", 0.8)])
def test_it_learns_two_images(decoder, near):
    """Two images of equal frequency: the best -log p is known, and samples look like one of them, or lie between."""
    torch.manual_seed(0)
    images = torch.zeros(2, 1, 8, 8)
    images[0, :, :4], images[1, :, :, :4] = 1, 1
    draws = torch.Generator().manual_seed(5)
    net = ConvVAE(1, 8, 2, 8, decoder=decoder, std=0.1 if decoder == "gaussian" else None)
    batches = iter(lambda: images[torch.randint(2, (32,), generator=draws)], None)
    states = list(train(net, batches, objective=BoundObjective(generator=seeded(3)), n_steps=400, lr=3e-3))
    best = math.log(2) - (64 * Normal(0, 0.1).log_prob(torch.tensor(0.0)).item() if decoder == "gaussian" else 0)
    assert best < sum(state.loss for state in states[-50:]) / 50 < best + 4
    samples = net.sample(1000, generator=seeded(4))
    squares = (samples[:, None] - images).square().flatten(2).sum(2)
    assert samples.shape == (1000, 1, 8, 8) and (squares.min(1).values < 2).float().mean() > near
    assert 0.25 < squares.argmin(1).float().mean() < 0.75


def test_a_learned_width_finds_the_noise():
    torch.manual_seed(0)
    draws = torch.Generator().manual_seed(5)
    net = ConvVAE(1, 4, 1, 4)
    batches = (0.5 + 0.2 * torch.randn(64, 1, 4, 4, generator=draws) for _ in iter(int, 1))
    list(train(net, batches, objective=BoundObjective(generator=seeded(6)), n_steps=400, lr=1e-2))
    assert net.std.item() == pytest.approx(0.2, rel=0.05)


def test_sampling_with_and_without_the_decoder_s_noise():
    net = ConvVAE(1, 8, 2, 8, std=0.3).eval()
    means, samples = (net.sample(500, noise=noise, generator=seeded(7)) for noise in (False, True))
    assert (samples - means).std().item() == pytest.approx(0.3, rel=0.02)
    bits = ConvVAE(1, 8, 2, 8, decoder="bernoulli").sample(5, noise=True, generator=seeded(8))
    assert set(bits.unique().tolist()) <= {0.0, 1.0}


def test_the_aggregate_posterior_is_that_of_the_rows_given():
    """Of a linear model it is a Gaussian whose covariance is that of the means, and that of each posterior."""
    model, x = Linear(), X[:7]
    v = aggregate_posterior(model, x, 200_000, generator=seeded(7))
    mean, std = model.encode(x)
    expected = mean.T.cov(correction=0) + (std**2).mean(0).diag()
    torch.testing.assert_close(v.mean(0), mean.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(v.T.cov(), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("call", "repair"),
    [
        (lambda: ConvVAE(1, 10), "multiple of 4"),
        (lambda: ConvVAE(1, 8, decoder="laplace"), "gaussian or bernoulli"),
        (lambda: ConvVAE(1, 8, std=0.0), "std must be"),
        (lambda: ConvVAE(1, 8).encode(torch.rand(2, 3, 8, 8)), "images of shape"),
        (lambda: BoundObjective(beta=-1), "beta must be"),
        (lambda: ConvVAE(1, 8).encode(torch.rand(2, 1, 16, 16)), "of 8x8 images, not 16x16: resize"),
        (
            lambda: ConvVAE(1, 8).encode(2 * torch.rand(200, 1, 8, 8) - 1),
            r"pixels from 0 to 1, not .*pass \(x \+ 1\) / 2",
        ),
        (lambda: ConvVAE(1, 8, decoder="bernoulli", std=0.1), "has no width: leave out std="),
        (lambda: BoundObjective(binarise=True)(Linear(), X - 9), "probabilities of white here"),
        (lambda: importance_bound(Linear(), X, 0), "n must be a whole number"),
        (lambda: aggregate_posterior(Linear(), X, 0), "n must be a whole number"),
        (lambda: ConvVAE(1, 8, 5)(torch.zeros(3, 4)), r"shape \(B, 5\), not \(3, 4\)"),
        (
            lambda: ConvVAE(1, 8, 5).log_likelihood(torch.rand(3, 1, 8, 8), torch.zeros(5)),
            r"shape \(B, 5\), not \(5,\)",
        ),
        (lambda: ConvVAE(1, 8, 5).sample(2, v=torch.zeros(2, 6)), r"not \(2, 6\)"),
    ],
)
def test_bad_input(call, repair):
    with pytest.raises(ValueError, match=repair):
        call()


@pytest.mark.parametrize("ask", [elbo, partial(importance_bound, n=3), partial(aggregate_posterior, n=3)])
def test_what_is_no_autoencoder_is_refused_by_name(ask):
    mixture = GaussianMixture([[0.0, 0.0]])
    with pytest.raises(TypeError, match=r"a GaussianMixture is no VAE: it has no encode and no log_likelihood"):
        ask(mixture, x=torch.zeros(2, 2))
