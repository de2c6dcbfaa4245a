"""Threads, forks, Ctrl-C and what an import loads."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import tagwise
from conftest import multi_label
from tagwise import _core


def test_other_threads_run_meanwhile():
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((30_000, 512)).astype(np.float32), rng.integers(0, 10, 30_000)
    result = []
    thread = threading.Thread(target=lambda: result.append(tagwise.analyze(features, labels)))
    thread.start()
    rounds = 0
    while thread.is_alive():
        rounds += 1
    assert rounds > 1000 and result[0].num_samples == 30_000


def test_updates_from_several_threads_add_up():
    features, targets = multi_label()
    statistics = tagwise.Statistics(5, 7)
    threads = [threading.Thread(target=statistics.update, args=(features, targets)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statistics.num_samples == 8 * len(features)
    one = tagwise.Statistics(5, 7).update(features, targets)
    np.testing.assert_allclose(statistics.means, one.means, rtol=1e-12)


def test_parts_may_merge_into_each_other():
    one = tagwise.Statistics(5, 7).update(*multi_label())
    one.merge(one)
    assert one.num_samples == 800
    other = one.copy()
    threads = [threading.Thread(target=a.merge, args=(b,)) for a, b in ((one, other), (other, one)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


def measure(seed):
    return tagwise.analyze(*multi_label(seed)).scalars()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_have_threads_of_their_own():
    expected = [measure(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(measure, range(4)).get(timeout=120) == expected


@pytest.fixture
def hears_ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(seconds):
    """Sends Ctrl-C to this process soon."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_stops_a_fit(hears_ctrl_c):
    features, targets = multi_label()
    timer = interrupted(0.5)
    with pytest.raises(KeyboardInterrupt):
        tagwise.fit(features, targets, weight_decay=0, optimizer="sgd", tol=0, max_iter=1 << 40)
    timer.join()
    assert tagwise.analyze(features, targets).num_samples == len(features)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_stops_an_update_and_the_rest_is_not_used(hears_ctrl_c):
    # Pages of zeros that are never written to take no memory.
    features, labels = np.zeros((4_000_000, 512), dtype=np.float16), np.zeros(4_000_000, dtype=np.int64)
    statistics = tagwise.Statistics(2, 512)
    sets = tagwise.LabelSets(labels, num_classes=2)
    timer = interrupted(3)
    with pytest.raises(KeyboardInterrupt):
        statistics.update(features, sets)
    timer.join()
    try:
        count = statistics.num_samples
    except tagwise.TagwiseValueError as error:
        assert "whose last update was stopped" in str(error)
    else:
        assert count == 0  # stopped before anything was added


def long_calls():
    """Calls that take seconds."""
    rng = np.random.default_rng(0)
    many = tagwise.LabelSets(rng.integers(0, 200, 400_000), num_classes=200)
    zeros = np.zeros((400_000, 200))  # pages that are never written to take no memory
    few = tagwise.LabelSets(rng.integers(0, 2000, 3000), num_classes=2000)
    noise = rng.standard_normal((3000, 2000))
    triples = [rng.choice(150, size=3, replace=False).tolist() for _ in range(3000)]
    features = rng.standard_normal((3000, 149))
    statistics = tagwise.Statistics(150, 149).update(features, tagwise.LabelSets(triples, num_classes=150))
    return {
        "evaluate": lambda: tagwise.evaluate(many, many, zeros),
        "counts": lambda: tagwise.EvaluationCounts(200).update(many, many, zeros),
        "rule": lambda: tagwise.LogitRule.fit(noise, few, rule="expected-f1"),
        "analyze": lambda: tagwise.analyze(features, triples, against_ufm=True),
        "collapse": lambda: statistics.collapse(against_ufm=True),
    }


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
@pytest.mark.parametrize("name", ["evaluate", "counts", "rule", "analyze", "collapse"])
def test_ctrl_c_stops_long_calls_before_they_are_done(name, hears_ctrl_c):
    call, before = long_calls()[name], _core._num_stopped()
    for _ in range(5):  # a signal between two calls stops none
        timer = interrupted(0.3)
        with pytest.raises(KeyboardInterrupt):
            while True:
                call()
        timer.join()
        if _core._num_stopped() > before:
            break
    assert _core._num_stopped() > before


def test_a_panic_is_an_error_like_others():
    for where in ("threads", "here"):
        with pytest.raises(tagwise.TagwiseError, match="internal error, please report it .*: deliberate") as error:
            _core._panic(where, "deliberate")
        assert type(error.value) is tagwise.TagwiseError
    assert measure(0)


def test_the_number_of_threads_changes_nothing():
    before = tagwise.get_num_threads()
    features, targets = multi_label(num_samples=5000)
    expected = tagwise.analyze(features, targets).to_json()
    try:
        for number in (1, 3):
            tagwise.set_num_threads(number)
            assert tagwise.get_num_threads() == number
            assert tagwise.analyze(features, targets).to_json() == expected
    finally:
        tagwise.set_num_threads(0)
    assert tagwise.get_num_threads() >= 1 and before >= 1
    with pytest.raises(tagwise.TagwiseError, match="expected `num_threads` of at least 0"):
        tagwise.set_num_threads(-1)


def test_an_import_needs_numpy_alone():
    code = "import sys, tagwise; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {"scipy", "torch", "pandas", "sklearn", "lightning", "transformers", "torchmetrics", "matplotlib"}
    assert not others & set(loaded) and "numpy" in loaded


def test_the_version_is_that_of_the_wheel():
    from importlib import metadata

    try:
        installed = metadata.version("tagwise")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    assert tagwise.__version__ == installed


def test_the_command_comes_with_the_wheel():
    from tagwise.__main__ import find_command

    try:
        command = find_command()
    except FileNotFoundError as error:
        assert "install the wheel" in str(error)
        pytest.skip("installed without the command")
    for call in ([command], [sys.executable, "-m", "tagwise"]):
        shown = subprocess.run([*call, "--version"], capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == f"tagwise {tagwise.__version__}"
    wrong = subprocess.run([sys.executable, "-m", "tagwise", "nonsense"], capture_output=True, check=False)
    assert wrong.returncode == 2


def test_the_command_and_the_package_measure_the_same(tmp_path):
    import json

    from tagwise.__main__ import find_command

    try:
        command = find_command()
    except FileNotFoundError:
        pytest.skip("installed without the command")
    features, targets = multi_label()
    np.savez(tmp_path / "features.npz", features=features.astype(np.float32), targets=targets.astype(np.uint8))
    shown = subprocess.run([command, "analyze", str(tmp_path / "features.npz"), "--json"], capture_output=True, text=True, check=True)
    figures = json.loads(shown.stdout)["files"][0]
    ours = tagwise.analyze(features.astype(np.float32), targets, name=figures["file"]).to_dict()
    assert ours == figures
    tagwise.Statistics(5, 7).update(features, targets).save(tmp_path / "all.ncs")
    subprocess.run([command, "analyze", str(tmp_path / "all.ncs")], capture_output=True, check=True)
