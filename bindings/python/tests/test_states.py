"""Everything that has a state is kept as bytes, in files and in pickles, and comes back the same."""

import copy
import pickle
import re

import numpy as np
import pytest

import tagwise


def states():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.standard_normal((40, 3)) + 3 * np.eye(3)[k] for k in range(3)])
    targets = [[k] for k in range(3) for _ in range(40)]
    head = tagwise.fit(features, targets, weight_decay=0.1, class_names=["a", "b", "c"])
    yield "statistics", tagwise.Statistics(3, 3).update(features, targets).set_classifier(head.weight)
    yield "report", tagwise.Statistics(3, 3).update(features, targets).collapse(head.weight)
    yield "analysis", tagwise.analyze(features, targets, head.weight, class_names=["a", "b", "c"])
    yield "solution", tagwise.ufm(targets)
    yield "head", head
    yield "decoder", tagwise.Decoder.fit(features, targets, decoder="threshold", head=head)
    yield "nearest", tagwise.OneNearestNeighbour.fit(features, targets, distance="mahalanobis")
    yield "rule", tagwise.LogitRule.fit(head.decision_function(features), targets, rule="expected-f1")
    yield "counts", tagwise.EvaluationCounts(3).update(targets, targets, head.decision_function(features))
    yield "sets", tagwise.LabelSets(targets, num_classes=4)
    yield "evaluation", tagwise.evaluate(targets, targets, head.decision_function(features))


STATES = dict(states())


def same(one, other):
    """Whether both say and keep the same."""
    return type(one) is type(other) and repr(one) == repr(other) and one.to_bytes() == other.to_bytes()


@pytest.mark.parametrize("name", STATES)
def test_bytes_and_pickles_bring_it_back(name):
    state = STATES[name]
    assert isinstance(state.to_bytes(), bytes)
    assert same(type(state).from_bytes(state.to_bytes()), state)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        assert same(pickle.loads(pickle.dumps(state, protocol)), state)
    assert same(copy.deepcopy(state), state)


@pytest.mark.parametrize("name", STATES)
def test_files_bring_it_back(name, tmp_path):
    state = STATES[name]
    state.save(tmp_path / "state")
    assert same(type(state).load(str(tmp_path / "state")), state)
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    with pytest.raises(FileNotFoundError, match="nowhere") as error:
        type(state).load(tmp_path / "nowhere")
    assert isinstance(error.value, tagwise.TagwiseFileError) and error.value.errno == 2
    assert str(error.value.filename).endswith("nowhere")
    with pytest.raises(tagwise.TagwiseFileError) as refused:
        state.save(tmp_path / "no" / "folder")
    for raised in (error.value, refused.value):
        assert str(raised).startswith(str(tmp_path)) and re.search("No such file|there is no folder", str(raised))
        again = pickle.loads(pickle.dumps(raised))
        assert type(again) is type(raised) and (str(again), again.errno) == (str(raised), raised.errno)
    (tmp_path / "junk").write_bytes(b"something else")
    with pytest.raises(tagwise.TagwiseValueError, match="junk: "):
        type(state).load(tmp_path / "junk")
    with pytest.raises(tagwise.TagwiseTypeError, match="expected `path` as the name of a file, found 3"):
        state.save(3)


@pytest.mark.parametrize("name", STATES)
def test_other_bytes_are_refused_in_one_sentence(name):
    kind = type(STATES[name])
    whole = STATES[name].to_bytes()
    for data in (b"", b"something else", whole[:-5], b"{}", b"[]", b"null"):
        with pytest.raises(tagwise.TagwiseValueError) as error:
            kind.from_bytes(data)
        assert "\n" not in str(error.value)
    with pytest.raises(tagwise.TagwiseTypeError, match="expected `data` as bytes, found int"):
        kind.from_bytes(3)


def test_the_answers_of_a_decoder_are_kept():
    for name in ("decoder", "nearest"):
        features = np.random.default_rng(1).standard_normal((50, 3)) + 1
        one, other = (decoder.decode(features) for decoder in (STATES[name], copy.deepcopy(STATES[name])))
        assert one.sets == other.sets
        again = pickle.loads(pickle.dumps(one))
        assert again.sets == one.sets and again.unproven.tolist() == one.unproven.tolist()
        if one.scores is not None:
            np.testing.assert_array_equal(again.scores, other.scores)


def test_a_report_keeps_its_page():
    report = STATES["analysis"]
    again = pickle.loads(pickle.dumps(report))
    assert again == report and str(again) == str(report) and again.to_html() == report.to_html()
    assert report != STATES["report"] and report != 3


def test_a_copy_is_left_alone():
    statistics = STATES["statistics"]
    other = copy.copy(statistics).update([[0.0, 0.0, 0.0]], [[0]])
    assert other.num_samples == statistics.num_samples + 1 == statistics.copy().num_samples + 1


def test_reports_and_solutions_are_not_made_by_hand():
    for kind in (tagwise.CollapseReport, tagwise.UfmSolution):
        with pytest.raises(tagwise.TagwiseTypeError, match="come from"):
            kind()
