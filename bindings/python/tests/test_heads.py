"""Heads against SciPy's minimiser and scikit-learn."""

import numpy as np
import pytest

import tagwise


def standardised(features):
    return (features - features.mean(axis=0)) / features.std(axis=0)


@pytest.mark.parametrize("name", ["pal", "pal-n", "bce", "zlpr"])
def test_the_minimum_is_that_of_scipy(name, samples):
    optimize = pytest.importorskip("scipy.optimize")
    features, targets = samples
    scaled, decay, k, d = standardised(features), 0.01, targets.shape[1], features.shape[1]

    def objective(parameters):
        weight, bias = parameters[: k * d].reshape(k, d), parameters[k * d :]
        value, slope = tagwise.loss_and_gradient(scaled @ weight.T + bias, targets, name, reduction="mean")
        gradient = np.concatenate([(slope.T @ scaled + 2 * decay * weight).ravel(), slope.sum(axis=0)])
        return value + decay * (weight**2).sum(), gradient

    best = optimize.minimize(objective, np.zeros(k * d + k), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9})
    head = tagwise.fit(features, targets, loss=name, weight_decay=decay, tol=1e-8, max_iter=5000)
    assert head.converged and head.objective == pytest.approx(best.fun, rel=1e-9)
    logits = head.decision_function(features)
    np.testing.assert_allclose(logits, features @ head.weight.T + head.bias, atol=1e-10)
    weight, bias = best.x[: k * d].reshape(k, d), best.x[k * d :]
    expected = scaled @ weight.T + bias
    if name.startswith("pal"):  # a softmax does not see a shift
        logits, expected = (z - z.mean(axis=1, keepdims=True) for z in (logits, expected))
    np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_binary_cross_entropy_is_logistic_regression(samples):
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, targets = samples
    decay = 0.005
    head = tagwise.fit(features, targets, loss="bce", weight_decay=decay, scaling="none", tol=1e-8)
    for k in range(targets.shape[1]):
        # C·Σ loss + ½‖w‖² against (1/N)·Σ loss + λ‖w‖².
        theirs = linear_model.LogisticRegression(C=1 / (2 * decay * len(features)), tol=1e-8, max_iter=10_000)
        theirs.fit(features, targets[:, k])
        np.testing.assert_allclose(head.weight[k], theirs.coef_[0], atol=2e-5)
        np.testing.assert_allclose(head.bias[k], theirs.intercept_[0], atol=2e-5)
    np.testing.assert_allclose(head.predict_proba(features)[:, -1], theirs.predict_proba(features)[:, 1], atol=1e-5)


def test_sparse_and_dense_features_give_one_head(samples):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    features, targets = samples
    thinned = np.where(np.abs(features) > 0.5, features, 0)
    settings = dict(loss="pal-n", weight_decay=0.01, scaling="none", tol=1e-8)
    dense = tagwise.fit(thinned, targets, **settings)
    sparse = tagwise.fit(scipy_sparse.csr_array(thinned), targets, **settings)
    np.testing.assert_allclose(sparse.weight, dense.weight, atol=1e-5)
    np.testing.assert_allclose(sparse.decision_function(scipy_sparse.csr_array(thinned)), sparse.decision_function(thinned), atol=1e-12)


def test_the_weight_decay_is_searched_for(samples):
    head = tagwise.fit(*samples, seed=2)
    assert head.description["held_out"]["share"] == 0.2 and head.weight_decay in {
        line["weight_decay"] for line in head.description["weight_decays"]
    }
    assert head.loss == {"name": "pick-all-labels", "weighting": "mean"} and head.link == "softmax"
    assert head.num_iterations > 0 and head.num_classes == 5 and head.dim == 7
    assert "pick-all-labels, weight decay" in repr(head)
    probabilities = head.predict_proba(samples[0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_what_is_given_is_not_searched_for(samples):
    scalings = {line["scaling"] for line in tagwise.fit(*samples).description["compared"]}
    assert scalings == {"standardise", "none", "maximum"}
    for scaling in scalings:
        head = tagwise.fit(*samples, scaling=scaling)
        assert head.description["settings"]["scaling"] == scaling and "compared" not in head.description
    given = {"name": "set-likelihood", "multiplicities": "none", "seen_sets": "none", "max_multiplicity": 3}
    head = tagwise.fit(*samples, loss=given, scaling="none")
    assert head.loss == given and "compared" not in head.description


def test_the_set_likelihood_knows_how_many_labels_there_are(samples):
    """Probabilities of labels are sums over all label sets, here written out."""
    features, targets = samples
    head = tagwise.fit(
        features, targets, loss="set-likelihood", weight_decay=0.001, loss_parameters={"multiplicities": "constant"}
    )
    assert head.loss["max_multiplicity"] == 3 and head.link == "sigmoid"
    listed = tagwise.Decoder.fit(head=head, decoder="most-probable", list_sets=26).decode(features).listed
    probabilities = np.zeros(targets.shape)
    for row, sets in zip(probabilities, listed, strict=True):
        assert len(sets) == 26 and sum(share for _, share in sets) == pytest.approx(1)  # all sets of at most 3 of 5
        for labels, share in sets:
            row[list(labels)] += share
    np.testing.assert_allclose(head.predict_proba(features), probabilities, atol=1e-12)
    again = tagwise.Head.from_bytes(head.to_bytes())
    np.testing.assert_array_equal(again.predict_proba(features), head.predict_proba(features))


def test_settings_reach_the_library(samples):
    features, targets = samples
    plain = tagwise.fit(features, targets, weight_decay=0.01)
    for settings in (
        dict(class_weight="balanced"),
        dict(class_weight=[1, 2, 3, 4, 5]),
        dict(set_weight={(0,): 5.0, (1, 2): 0.5}),
        dict(balance=1.0),
        dict(kind="fixed-etf"),
        dict(loss="focal", loss_parameters={"gamma": 1.0}),
        dict(loss={"name": "asl", "margin": 0.1}),
    ):
        head = tagwise.fit(features, targets, weight_decay=0.01, **settings)
        assert np.abs(head.weight - plain.weight).max() > 1e-6, settings
    fixed = tagwise.fit(features, targets, weight_decay=0.01, kind="fixed-etf", scaling="none")
    np.testing.assert_allclose(fixed.weight.sum(axis=0), 0, atol=1e-12)
    sgd = tagwise.fit(features, targets, weight_decay=0.01, optimizer="sgd", batch_size=32, seed=1, max_iter=2000)
    np.testing.assert_allclose(sgd.weight, plain.weight, atol=2e-2)


def test_names_of_classes_are_kept():
    head = tagwise.fit([[1.0], [-1.0], [1.5]], [["sea"], ["sky"], ["sea"]], weight_decay=0.1)
    assert head.class_names == ("sea", "sky") == tagwise.Head.from_bytes(head.to_bytes()).class_names


def test_foreign_classifiers_are_heads(classifier):
    weight, bias = classifier
    head = tagwise.Head(weight, bias)
    assert head.loss is head.weight_decay is head.link is head.converged is head.class_names is None
    np.testing.assert_array_equal(head.weight, weight)
    with pytest.raises(tagwise.TagwiseValueError, match="expected a head that knows its loss"):
        head.predict_proba(np.ones((1, 7)))
    np.testing.assert_array_equal(tagwise.Head(weight).bias, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(targets=[[0]]), "expected 1 rows of features, one for each row of targets, found 2"),
        (dict(features=[[np.nan], [1.0]]), "expected finite numbers, found NaN"),
        (dict(features=np.ones((0, 2)), targets=np.ones((0, 2))), "at least one sample"),
        (dict(targets=[[], []], num_classes=2), "the pick-all-labels loss needs samples with labels, found none"),
        (dict(loss="hinge"), "expected `loss` to be one of"),
        (dict(weight_decay=-1.0), "expected the weight decay of at least 0 and finite, found -1"),
        (dict(weight_decay=np.inf), "expected `weight_decay` as a finite number"),
        (dict(weight_decay="small"), "expected `weight_decay` as a number, found 'small'"),
        (dict(weight_decay=None, held_out=1.5), "share of samples held out between 0 and 1, found 1.5"),
        (dict(kind="quadratic"), 'expected `kind` to be linear or fixed-etf, found "quadratic"'),
        (dict(scaling="log"), 'expected `scaling` to be standardise, none, maximum, found "log"'),
        (dict(loss="set-likelihood", loss_parameters={"seen_sets": "some"}), 'expected `seen_sets` to be none or learned, found "some"'),
        (dict(loss="set-likelihood", loss_parameters={"max_multiplicity": 0.5}), "expected `max_multiplicity` as a whole number"),
        (dict(loss="set-likelihood", loss_parameters={"gamma": 2}), "expected the parameters .*multiplicities.* of the loss set-likelihood, found gamma"),
        (dict(loss="set-likelihood", optimizer="sgd"), "the set likelihood is fitted by L-BFGS"),
        (dict(seen_set_decay=-1), "expected the decay of the potentials of label sets of at least 0"),
        (dict(optimizer="adam"), "expected `optimizer` 'lbfgs' or 'sgd', found 'adam'"),
        (dict(optimizer="sgd", batch_size=0), "expected `batch_size` of at least 1"),
        (dict(max_iter=-1), "expected `max_iter` of at least 0"),
        (dict(tol=-1), "expected the gradient tolerance of at least 0"),
        (dict(class_weight="rare"), "expected `class_weight` None, 'balanced' or numbers"),
        (dict(class_weight=[1.0]), "expected 2 class weights, one for each class, found 1"),
        (dict(class_weight=[1.0, -1.0]), "expected the weight of a class greater than 0"),
        (dict(set_weight={(0,): -1}), "expected the weight of a label set of at least 0"),
        (dict(set_weight={(7,): 1}), "`set_weight`: expected labels 0 to 1, found 7"),
        (dict(set_weight=[1]), "expected `set_weight` as a mapping"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(tagwise.TagwiseError, match=sentence):
        tagwise.fit(**{"features": [[0.0], [1.0]], "targets": [[0], [1]], "weight_decay": 0.1, **arguments})


def test_heads_refuse_what_does_not_fit(classifier):
    weight, bias = classifier
    for arguments, sentence in (
        ((weight, bias[:2]), "expected 5 numbers in `bias`, one for each row of `weight`, found 2"),
        ((np.full((2, 2), np.nan),), "found NaN in the weight of the classifier"),
        ((np.ones((0, 3)),), "with classes and features, found"),
        ((None,), r"expected `weight` \[K, d\], found None"),
    ):
        with pytest.raises(tagwise.TagwiseError, match=sentence):
            tagwise.Head(*arguments)
    with pytest.raises(tagwise.TagwiseValueError, match="expected 7 columns of features, found 3"):
        tagwise.Head(weight).decision_function(np.ones((1, 3)))
    with pytest.raises(tagwise.TagwiseValueError, match="found inf in features at row 5000, column 1"):
        features = np.ones((6000, 7))
        features[5000, 1] = np.inf
        tagwise.Head(weight).decision_function(features)
    assert tagwise.Head(weight).decision_function(np.ones((0, 7))).shape == (0, 5)
