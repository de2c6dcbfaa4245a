"""Arrays of every kind are read alike, and without a copy where that can be."""

import numpy as np
import pytest

import tagwise
from tagwise._inputs import as_features


def forms_of_targets(targets):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    pandas = pytest.importorskip("pandas")
    for kind in (bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
        yield kind.__name__, targets.astype(kind)
    for kind in (np.float16, np.float32, np.float64, np.longdouble):
        yield kind.__name__, targets.astype(kind)
    yield "big-endian", targets.astype(">i4")
    yield "columns first", np.asfortranarray(targets)
    yield "every second", np.repeat(targets, 2, axis=0)[::2]
    yield "backwards", targets[::-1, ::-1][::-1, ::-1]
    for sparse in (scipy_sparse.csr_matrix, scipy_sparse.csr_array, scipy_sparse.csc_array, scipy_sparse.coo_array):
        yield sparse.__name__, sparse(targets)
    yield "lists", [list(np.flatnonzero(row)) for row in targets]
    yield "sets", [set(np.flatnonzero(row).tolist()) for row in targets]
    yield "tuples", tuple(tuple(np.flatnonzero(row).tolist()) for row in targets)
    yield "frame", pandas.DataFrame(targets)
    yield "series of lists", pandas.Series([np.flatnonzero(row).tolist() for row in targets])
    yield "label sets", tagwise.LabelSets(targets)


def test_targets_in_every_form_are_the_same(samples):
    _, targets = samples
    expected = tagwise.LabelSets(targets)
    assert expected.to_array().tolist() == targets.tolist()
    for name, form in forms_of_targets(targets):
        assert tagwise.LabelSets(form, num_classes=5) == expected, name


def forms_of_features(features):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    pandas = pytest.importorskip("pandas")
    yield "f64", features
    yield "lists", features.tolist()
    yield "columns first", np.asfortranarray(features)
    yield "rows with a stride", np.pad(features, ((0, 0), (0, 3)))[:, :-3]
    yield "every second row", np.repeat(features, 2, axis=0)[::2]
    yield "backwards", np.ascontiguousarray(features[::-1])[::-1]
    yield "every second column", np.repeat(features, 2, axis=1)[:, ::2]
    yield "big-endian", features.astype(">f8")
    yield "unaligned", np.frombuffer(b"\0" + features.tobytes(), dtype=np.uint8)[1:].view(np.float64).reshape(features.shape)
    yield "long double", features.astype(np.longdouble)
    for sparse in (scipy_sparse.csr_matrix, scipy_sparse.csr_array, scipy_sparse.csc_array):
        yield sparse.__name__, sparse(features)
    yield "frame", pandas.DataFrame(features)


def test_features_in_every_form_are_the_same(samples):
    features, targets = samples
    expected = tagwise.analyze(features, targets).scalars()
    for name, form in forms_of_features(features):
        assert tagwise.analyze(form, targets).scalars() == expected, name


def test_whole_numbers_and_half_precision_are_exact(samples):
    features, targets = samples
    whole = np.round(8 * features)
    expected = tagwise.analyze(whole, targets).scalars()
    for kind in (np.int8, np.int64, np.float16, np.float32):
        assert tagwise.analyze(whole.astype(kind), targets).scalars() == pytest.approx(expected, rel=1e-12), kind


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_contiguous_rows_are_not_copied(kind):
    for array in (np.zeros((5, 4), kind), np.zeros((5, 9), kind)[:, 2:6], np.zeros((10, 4), kind)[::2], np.zeros((1, 4), kind)):
        assert as_features(array) is array
    for array in (np.zeros((5, 4), kind).T, np.zeros((5, 8), kind)[:, ::2], np.zeros((5, 4), kind)[::-1]):
        assert not np.shares_memory(as_features(array), array)
    repeated = np.broadcast_to(np.zeros(4, kind), (5, 4))
    assert as_features(repeated).flags.c_contiguous


def test_sparse_parts_are_not_copied():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rows = scipy_sparse.random_array((20, 30), density=0.2, format="csr", dtype=np.float32, random_state=0)
    _, columns, values, dim = as_features(rows)
    assert np.shares_memory(columns, rows.indices) and np.shares_memory(values, rows.data) and dim == 30


def test_tensors_are_read_without_torch_being_asked_for(samples):
    torch = pytest.importorskip("torch")
    features, targets = samples
    expected = tagwise.analyze(features, targets).scalars()
    tensor = torch.tensor(features, requires_grad=True)
    assert np.shares_memory(as_features(tensor), tensor.detach().numpy())
    assert tagwise.analyze(tensor, torch.tensor(targets)).scalars() == expected
    brain = tensor.to(torch.bfloat16)
    assert tagwise.analyze(brain, targets).scalars() == tagwise.analyze(brain.detach().float(), targets).scalars()
    with pytest.raises(tagwise.TagwiseTypeError, match="expected `features` as a dense tensor"):
        tagwise.analyze(torch.eye(3).to_sparse(), [[0], [1], [2]])
    with pytest.raises(tagwise.TagwiseTypeError, match="expected `features` as a tensor of numbers in memory"):
        tagwise.analyze(torch.zeros(3, 2, device="meta"), [[0], [1], [2]])


class ByDlpack:
    """Holds an array that it shows through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_dlpack_is_a_door(samples):
    features, targets = samples
    shown = ByDlpack(features)
    assert np.shares_memory(as_features(shown), features)
    assert tagwise.analyze(shown, ByDlpack(targets)) == tagwise.analyze(features, targets)


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array(np.ones((2, 2)), mask=[[True, False], [False, False]])
    with pytest.raises(tagwise.TagwiseTypeError, match="without a mask"):
        tagwise.analyze(masked, [[0], [1]])


def test_empty_arrays_have_one_sentence():
    with pytest.raises(tagwise.TagwiseValueError, match="there is none"):
        tagwise.analyze(np.ones((0, 3)), np.ones((0, 2)))
    with pytest.raises(tagwise.TagwiseValueError, match="at least 1"):
        tagwise.analyze(np.ones((3, 0)), [[0], [1], [0]])
    statistics = tagwise.Statistics(2, 3).update(np.ones((0, 3)), np.ones((0, 2)))
    assert statistics.num_samples == 0
