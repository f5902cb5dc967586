"""What a search gives to GPyOpt at its extension points: Gaussian processes in closed form, and expected improvement.

Most of the time of GPyOpt's own search goes into gradients of GPy's predictions and into restarts of its fit. Here both
are a few lines of linear algebra, and more is known: whether values are exact, how low the objective can be, and which
experiments are under way or have failed.

Points are rows of arrays (n, d), values and predictions columns (n, 1), as everywhere in GPyOpt.
"""

import numpy as np
from GPyOpt.acquisitions.base import AcquisitionBase
from GPyOpt.models.base import BOModel
from scipy.linalg import lapack, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import erfcx, log_ndtr, ndtr

from vae_opt_util import distinct_distance, spaced_best

log_sqrt_2pi = 0.5 * np.log(2 * np.pi)


class GaussianProcess(BOModel):
    """A Gaussian process: Matérn-5/2 kernel with a length scale for each dimension, constant mean.

    The length scales maximise the marginal likelihood times a broad log-normal prior (Hvarfner et al., arXiv
    2402.02229); the constant mean and the variance that maximise it for given length scales are known in closed form.
    Values are exact, or the variance of their noise is learned like the length scales.

    Of a pending experiment the result is taken to be what is predicted of it, so that its place is no longer uncertain
    and the mean is what it was: the kriging believer of Ginsbourger et al., 2010.

    Args:
        domain: the bounds of the box, (d, 2). Length scales are in units of its sides.
        noisy: whether values have noise.
        pending: points of experiments that have no result yet, (m, d).
    """

    analytical_gradient_prediction = True

    # In shares of the variance. Of exact values it only keeps the covariance matrix well conditioned.
    smallest_noise = 1e-6
    # A broad log-normal prior of the noise that is learned: mean and deviation of its logarithm.
    noise_prior = (-6.0, 3.0)
    # Where values jump, as an objective does at the border of a label's region, the maximum-likelihood variance is too
    # small elsewhere, and a search that trusts it takes a local minimum for the global one. Twice that was enough in
    # several hundred searches.
    variance_factor = 2.0

    def __init__(self, domain, noisy=False, pending=()):
        self.low, self.width = domain[:, 0], np.ptp(domain, axis=1)
        self.noisy = bool(noisy)
        self.pending = np.reshape(pending, (-1, len(domain)))

    def updateModel(self, X_all, Y_all, X_new, Y_new):  # noqa: N802, N803 (GPyOpt's names)
        """Fits the Gaussian process to all evaluations: points (n, d) and values (n, 1)."""
        self.X, self.Y = X_all, Y_all
        self._fit((X_all - self.low) / self.width, self._observed(X_all, Y_all)[:, 0])
        if len(self.pending):
            self._believe((self.pending - self.low) / self.width)

    def predict(self, X):  # noqa: N803
        """Mean and standard deviation of the objective at points (n, d), each (n, 1)."""
        return self._predict_observed(X)

    def get_fmin(self):
        """The lowest mean of the objective at a point that is evaluated, or is pending."""
        return self.predict(np.vstack((self.X, self.pending)))[0].min()

    def get_model_parameters(self):
        """The length scales in units of the box's sides, (1, d); GPyOpt records them."""
        return self.length_scales[np.newaxis]

    def log_improvement(self, X, threshold):  # noqa: N803
        """log E[max(threshold − f, 0)] at points (n, d): (n, 1), stable where the expectation underflows.

        With z = (threshold − mean) / deviation it is log deviation + log(φ(z) + z Φ(z)), computed as in Ament et al.,
        arXiv 2310.20708.
        """
        mean, deviation = self._predict_observed(X)
        return np.log(deviation) + _log_standard_improvement((threshold - mean) / deviation)

    def log_improvement_with_gradient(self, x, threshold):
        """`log_improvement` at one point (d,): a number, and its gradient (d,)."""
        mean, deviation, mean_gradient, deviation_gradient = self._predict_observed_with_gradient(x)
        z = (threshold - mean) / deviation
        log_standard = _log_standard_improvement(np.array([z]))[0]
        gradient = (np.exp(-z * z / 2 - log_sqrt_2pi - log_standard) * deviation_gradient
                    - np.exp(log_ndtr(z) - log_standard) * mean_gradient) / deviation
        return np.log(deviation) + log_standard, gradient

    def _observed(self, X, Y):  # noqa: N803
        return Y

    def _correlation(self, u, others):
        scale = np.sqrt(5 * self.weights)
        return _matern(cdist(u * scale, others * scale))

    def _believe(self, u):
        """Adds points whose values are what is predicted of them: their weights are 0, only the deviation shrinks."""
        solved = solve_triangular(self.factor, self._correlation(self.u, u), lower=True, check_finite=False)
        left = self._correlation(u, u) - solved.T @ solved
        left[np.diag_indices(len(u))] += self.noise
        self.factor = np.block([[self.factor, np.zeros((len(self.u), len(u)))], [solved.T, np.linalg.cholesky(left)]])
        self.alpha = np.r_[self.alpha, np.zeros(len(u))]
        self.u = np.vstack((self.u, u))

    def _fit(self, u, y):
        n, d = u.shape
        squared_differences = (u.T[:, :, np.newaxis] - u.T[:, np.newaxis, :]) ** 2
        # Parameters are the logarithms of the length scales, and of the noise where there is any.
        prior_mean, prior_deviation = (np.array([length_scale] * d + [noise] * self.noisy) for length_scale, noise in
                                       zip((np.sqrt(2) + 0.5 * np.log(d), np.sqrt(3)), self.noise_prior, strict=True))
        # A variance of 0, of values that are all equal, is not one that a deviation can be divided by.
        smallest_variance = (1e-8 * (np.abs(y).max() or 1.0)) ** 2

        def decompose(parameters):
            weights = np.exp(-2 * parameters[:d])
            noise = np.exp(parameters[d]) if self.noisy else self.smallest_noise
            r = np.sqrt(5 * np.tensordot(weights, squared_differences, 1))
            decay = np.exp(-r)
            covariance = (1 + r + r * r / 3) * decay
            covariance[np.diag_indices(n)] += noise
            factor, failed = lapack.dpotrf(covariance, lower=1)
            if failed:
                raise np.linalg.LinAlgError('the covariance matrix is not positive definite')
            of_ones, of_y = lapack.dpotrs(factor, np.c_[np.ones(n), y], lower=1)[0].T
            constant = of_y.sum() / of_ones.sum()
            alpha = of_y - constant * of_ones
            variance = max((y - constant) @ alpha / n, smallest_variance)
            return weights, noise, (1 + r) * decay, factor, constant, alpha, variance

        def negative_log_posterior(parameters):
            weights, noise, slope, factor, _, alpha, variance = decompose(parameters)
            inverse = lapack.dpotri(factor, lower=1)[0]
            inverse = np.tril(inverse) + np.tril(inverse, -1).T
            of_covariance = (inverse - np.outer(alpha, alpha) / variance) / 2
            standardised = (parameters - prior_mean) / prior_deviation
            value = n / 2 * np.log(variance) + np.log(np.diag(factor)).sum() + standardised @ standardised / 2
            gradient = 5 / 3 * weights * np.tensordot(squared_differences, slope * of_covariance, 2)
            if self.noisy:
                gradient = np.r_[gradient, noise * np.trace(of_covariance)]
            return value, gradient + standardised / prior_deviation

        starts = [[np.log(0.15)] * d + [self.noise_prior[0]] * self.noisy]
        if self.noisy:
            # With noise there are often two optima: much of the variation explained, or much of it taken for noise.
            starts.append([np.log(0.5)] * d + [np.log(0.3)])
        bounds = [(np.log(2e-3), np.log(10))] * d + [(np.log(self.smallest_noise), 0.0)] * self.noisy
        fit = min((minimize(negative_log_posterior, start, jac=True, method='L-BFGS-B', bounds=bounds,
                            options={'maxiter': 50}) for start in starts), key=lambda fit: fit.fun)
        self.weights, self.noise, _, self.factor, self.constant, self.alpha, variance = decompose(fit.x)
        self.length_scales = np.exp(fit.x[:d])
        self.variance = self.variance_factor * variance
        self.u = u

    def _predict_observed(self, X):  # noqa: N803
        k = self._correlation((X - self.low) / self.width, self.u)
        explained = (solve_triangular(self.factor, k.T, lower=True, check_finite=False) ** 2).sum(axis=0)
        return ((self.constant + k @ self.alpha)[:, np.newaxis],
                np.sqrt(self.variance * np.maximum(1 - explained, 1e-12))[:, np.newaxis])

    def _predict_observed_with_gradient(self, x):
        differences = (x - self.low) / self.width - self.u
        r = np.sqrt(5 * (differences ** 2) @ self.weights)
        decay = np.exp(-r)
        k = (1 + r + r * r / 3) * decay
        k_gradient = -5 / 3 * ((1 + r) * decay)[:, np.newaxis] * differences * self.weights / self.width
        solved = lapack.dpotrs(self.factor, k, lower=1)[0]
        deviation = np.sqrt(self.variance * max(1 - k @ solved, 1e-12))
        return (self.constant + k @ self.alpha, deviation,
                self.alpha @ k_gradient, -self.variance * (solved @ k_gradient) / deviation)


class SquaredGaussianProcess(GaussianProcess):
    """A model of an objective that is nowhere below a known function: f = lower_bound + g² / 2, g a Gaussian process.

    What is known is not learned again, an improvement beyond the bound is not expected, and the square root brings a
    steep objective's plateaus and valleys closer together. After Gunter et al., arXiv 1411.0439, and Nguyen and
    Osborne, arXiv 1905.02685, who know a number where this knows a function.

    Args:
        domain: as for `GaussianProcess`.
        lower_bound: a function of points (n, d) that returns values (n, 1).
        pending: as for `GaussianProcess`; what is predicted of a pending experiment is g.
    """

    def __init__(self, domain, lower_bound, pending=()):
        super().__init__(domain, pending=pending)
        self.lower_bound = lower_bound

    def predict(self, X):  # noqa: N803
        mean, deviation = self._predict_observed(X)
        return (self.lower_bound(X) + (mean ** 2 + deviation ** 2) / 2,
                deviation * np.sqrt(mean ** 2 + deviation ** 2 / 2))

    def log_improvement(self, X, threshold):  # noqa: N803
        """log E[max(threshold − f, 0)] at points (n, d): (n, 1), −690 where the expectation vanishes.

        With c = threshold − lower_bound it is the expectation of c − g² / 2 over −√2c < g < √2c, in closed form.
        """
        mean, deviation = self._predict_observed(X)
        improvement = _squared_improvement(np.abs(mean), deviation, threshold - self.lower_bound(X))[0]
        return np.log(np.maximum(improvement, 1e-300))

    def log_improvement_with_gradient(self, x, threshold):
        mean, deviation, mean_gradient, deviation_gradient = self._predict_observed_with_gradient(x)
        above, below = (np.clip(x + sign * 1e-6 * self.width, self.low, self.low + self.width) for sign in (1, -1))
        stencil = np.vstack((x, np.where(np.eye(len(x)), above, x), np.where(np.eye(len(x)), below, x)))
        around = self.lower_bound(stencil)[:, 0]
        bound_gradient = (around[1:len(x) + 1] - around[len(x) + 1:]) / (above - below)
        improvement, of_mean, of_deviation, of_c = _squared_improvement(abs(mean), deviation, threshold - around[0])
        if improvement < 1e-14 * deviation ** 2:
            return -690.0, np.zeros(len(x))  # Nothing is left of it but rounding errors.
        gradient = np.sign(mean) * of_mean * mean_gradient + of_deviation * deviation_gradient - of_c * bound_gradient
        return np.log(improvement), gradient / improvement

    def _observed(self, X, Y):  # noqa: N803
        return np.sqrt(2 * np.maximum(Y - self.lower_bound(X), 0))


def _matern(r):
    """The Matérn-5/2 correlation at distances r, in length scales times √5."""
    return (1 + r + r * r / 3) * np.exp(-r)


def _log_standard_improvement(z):
    """log(φ(z) + z Φ(z)), without the cancellation that makes it −∞ below z = −8."""
    tail = np.minimum(z, -1.0)
    # φ + z Φ = φ (1 − |z| Φ / φ), and Φ / φ is the scaled complementary error function.
    share = np.maximum(1 + tail * np.sqrt(np.pi / 2) * erfcx(-tail / np.sqrt(2)), 1e-300)
    log_tail = np.where(tail > -1e5, np.log(share), -2 * np.log(-tail)) - tail * tail / 2 - log_sqrt_2pi
    body = np.maximum(z, -1.0)
    return np.where(z > -1, np.log(_phi(body) + body * ndtr(body)), log_tail)


def _squared_improvement(mean, deviation, c):
    """E[max(c − g² / 2, 0)] for g ~ N(mean, deviation²), mean ≥ 0; and its derivatives by mean, deviation and c."""
    half_width = np.sqrt(2 * np.maximum(c, 0))
    a, b = (-half_width - mean) / deviation, (half_width - mean) / deviation
    # Moments of the standardised g between the two: of order 0, 1 and 2.
    zeroth, first = ndtr(b) - ndtr(a), _phi(a) - _phi(b)
    second = zeroth + a * _phi(a) - b * _phi(b)
    improvement = c * zeroth - (mean ** 2 * zeroth + 2 * mean * deviation * first + deviation ** 2 * second) / 2
    return (np.where(c > 0, improvement, 0.0), -(mean * zeroth + deviation * first),
            -(mean * first + deviation * second), zeroth)


def _phi(z):
    return np.exp(-z * z / 2 - log_sqrt_2pi)


class SpacedExpectedImprovement(AcquisitionBase):
    """Expected improvement, in logarithms, at a distance from what is evaluated already.

    Without the distance a search refines each local minimum that it meets to many digits before it looks elsewhere, and
    its ten best evaluations are one image. So there are two kinds of proposals:

    - *spaced*: at least `spacing` away from all evaluations, with the highest expected improvement on a threshold a
      little above the best value. These find the minimum, and then points around it that are nearly as good.
    - *refined*: with the highest expected improvement on the best value, anywhere. These take turns with the others
      once no spaced point promises an improvement on the best value that matters.

    Distances are kept from pending experiments too. And a proposal is made only where an experiment is more likely to
    succeed than to fail, see `success_probability`, or where it is most likely to.

    Args:
        model: a `GaussianProcess`.
        space: GPyOpt's box.
        optimizer: GPyOpt's, which is not used.
        failed: points of experiments that failed, (k, d).
    """

    spacing = distinct_distance
    # In standard deviations of the values so far; about 0.2 and 0.01 nats in the article's searches.
    threshold_above_best = 0.03
    improvement_that_matters = 0.002
    # Of so many proposals one is spaced, once the search has converged.
    turns = 4
    # In units of the box's sides. No point is evaluated twice.
    resolution = 1e-5

    num_uniform = 500
    num_around_best = 200
    num_starts = 2

    def __init__(self, model, space, optimizer, failed=()):
        super().__init__(model, space, optimizer)
        self.failed = np.reshape(failed, (-1, len(model.low)))

    def success_probability(self, X):  # noqa: N803
        """The probability that an experiment succeeds at points (n, d): (n,), 1 until something has failed.

        Laplace's rule of succession, (s + 1) / (s + f + 1) with one success assumed, where each of the s successes and
        f failures counts by its Matérn correlation with the point, of length scale 0.1 √d in units of the box's sides.
        A first failure may be bad luck, and its place is tried again if it promises much; after a second one without a
        success nearby it is not.
        """
        successes, failures = (
            _matern(np.sqrt(5 / len(self.model.low)) / 0.1 * cdist(*((points - self.model.low) / self.model.width
                                                                     for points in (X, others)))).sum(axis=1)
            for others in (self.model.X, self.failed))
        return (1 + successes) / (1 + successes + failures)

    def optimize(self, duplicate_manager=None):
        """The next proposal, (1, d), and its negative acquisition; draws from NumPy's global state like GPyOpt."""
        model = self.model
        low, width = model.low, model.width
        lowest, scale = model.get_fmin(), model.Y.std()
        candidates = self._candidates()
        candidates = candidates[self._distances(candidates) >= self.resolution]
        success = self.success_probability(candidates)
        if success.max() <= 0.5:
            return candidates[[success.argmax()]], np.zeros((1, 1))
        candidates = candidates[success > 0.5]
        distances = self._distances(candidates)
        at_distance = distances >= self.spacing
        promise = model.log_improvement(candidates[at_distance], lowest) if at_distance.any() else np.array([-np.inf])
        converged = np.exp(promise.max()) <= self.improvement_that_matters * scale
        if not at_distance.any() or (converged and len(model.u) % self.turns):
            threshold, spacing = lowest, self.resolution
        else:
            threshold, spacing = lowest + self.threshold_above_best * scale, self.spacing
        candidates = candidates[distances >= spacing]

        acquisition = model.log_improvement(candidates, threshold)[:, 0]
        order = np.argsort(-acquisition)
        best, highest = candidates[order[0]], acquisition[order[0]]

        def negative(x):
            value, gradient = model.log_improvement_with_gradient(x, threshold)
            return -value, -gradient

        for start in candidates[order[:self.num_starts]]:
            refined = minimize(negative, start, jac=True, method='L-BFGS-B', bounds=np.c_[low, low + width],
                               options={'maxiter': 30})
            x = refined.x[np.newaxis]
            if -refined.fun > highest and self._distances(x) >= spacing and self.success_probability(x) > 0.5:
                best, highest = refined.x, -refined.fun
        return best[np.newaxis], np.array([[-highest]])

    def _distances(self, points):
        """Distances of points (n, d) to the nearest experiment in units of the box's sides, (n,)."""
        return cdist((points - self.model.low) / self.model.width, self.model.u).min(axis=1)

    def _candidates(self):
        """Points all over the box, and in rings around the best evaluations that lie at a distance from each other."""
        model = self.model
        n, d = self.num_around_best, len(model.low)
        evaluated = model.u[:len(model.Y)]
        centers = evaluated[spaced_best(evaluated, model.Y[:, 0], 10, self.spacing)]
        directions = np.random.normal(size=(n, d))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        radii = self.spacing * np.exp(np.random.uniform(np.log(0.01), np.log(4), (n, 1)))
        around = centers[np.random.randint(len(centers), size=n)] + radii * directions
        u = np.vstack((np.random.uniform(size=(self.num_uniform, d)), np.clip(around, 0, 1)))
        return model.low + model.width * u
