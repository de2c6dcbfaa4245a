#!/usr/bin/env python3
"""The live page in headless Chromium: scripts/check_live.py PROGRAM [CHROMIUM].

Needs Playwright for Python and a Chromium (Debian's package `chromium` will do). Runs are trained, killed,
resumed and deleted while the page looks at them; a run of 1,000 epochs with 150 classes is made up.
"""

import contextlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from playwright.sync_api import expect, sync_playwright

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
CHROMIUM = sys.argv[2] if len(sys.argv) > 2 else shutil.which("chromium")
FEW = ["--set", "data.train.per_multiplicity=[40, 6]", "--set", "data.validation.per_multiplicity=[10, 2]"]
FEW += ["--set", "data.test.per_multiplicity=[10, 2]"]
EVIL = ["<img src=x onerror=window.evil=1>", "<script>window.evil=1</script>", "\"'&amp;"]
PATIENCE = 120_000  # milliseconds; a busy machine is slow


def train(folder, *arguments, epochs=2000):
    return subprocess.Popen([PROGRAM, "train", "-q", "--epochs", str(epochs), *FEW, "--out", str(folder), *arguments], stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def served(*paths):
    server = subprocess.Popen([PROGRAM, "ui", *map(str, paths), "--no-browser"], stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0


def item(page, name):
    return page.locator("#runs li").filter(has=page.locator("b", has_text=name))


def two_runs_at_once_killed_resumed_and_deleted(browser, scratch):
    runs = scratch / "runs"
    runs.mkdir()
    with served(runs) as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#none")).to_be_visible(timeout=PATIENCE)
        first, second = train(runs / "first"), train(runs / "second", "--classifier", "fixed-etf", "--feature-dim", "10")
        for name in ("first", "second"):
            expect(item(page, name)).to_have_class("running", timeout=PATIENCE)
            item(page, name).locator("input").check()
        expect(page.locator("#report h1")).to_have_text("first and second", timeout=PATIENCE)
        # It grows by itself.
        expect(item(page, "first").locator(".state")).to_contain_text(re.compile(r"epoch ([3-9]|\d\d+) of"), timeout=PATIENCE)
        second.kill()
        second.wait()
        expect(item(page, "second")).to_have_class("interrupted", timeout=PATIENCE)
        resumed = subprocess.Popen([PROGRAM, "train", "-q", "--resume", str(runs / "second")], stdout=subprocess.DEVNULL)
        expect(item(page, "second")).to_have_class("running", timeout=PATIENCE)
        # One run alone shows the pictures of its epochs, and a reader at the last sees the next.
        item(page, "first").locator("input").uncheck()
        expect(page.locator("#watch")).to_be_visible(timeout=PATIENCE)
        shown = page.locator("#which").text_content()
        page.wait_for_function("shown => document.getElementById('which').textContent !== shown", arg=shown, timeout=PATIENCE)
        expect(page.locator("#frame svg.plane")).to_be_visible()
        expect(page.locator("#frame svg.heat")).to_have_count(3)  # means, classifier, and what is predicted
        resumed.kill()
        resumed.wait()
        first.kill()
        first.wait()
        shutil.rmtree(runs / "first")
        expect(item(page, "first")).to_have_count(0, timeout=PATIENCE)
        item(page, "second").locator("input").uncheck()
        expect(page.locator("#empty")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#lost")).to_be_visible(timeout=PATIENCE)
    page.close()


def short_run(folder):
    assert train(folder, epochs=3).wait() == 0


def names_are_text(browser, scratch):
    run = scratch / "evil"
    short_run(run)
    names = EVIL + [f"class {k}" for k in range(len(EVIL), 10)]
    network = json.loads((run / "network.json").read_text())
    network["class_names"] = names
    (run / "network.json").write_text(json.dumps(network))
    report = json.loads((run / "report.json").read_text())
    report["class_names"], report["title"], report["notes"] = names, EVIL[0], EVIL
    for one in report["geometry"]["maps"]:
        one["labels"] = names
    (run / "report.json").write_text(json.dumps(report))
    with served(run) as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#report h1")).to_have_text(EVIL[0], timeout=PATIENCE)
        expect(page.locator("#frame svg.heat").first).to_contain_text("<img src=x", timeout=PATIENCE)
        assert page.evaluate("window.evil") is None
        page.close()


def the_keyboard_is_enough(browser, scratch):
    run = scratch / "keys"
    short_run(run)
    with served(run, scratch / "evil") as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#runs li")).to_have_count(2, timeout=PATIENCE)
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(page.locator("#watch")).to_be_visible(timeout=PATIENCE)
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "epoch":
                break
        assert page.evaluate("document.activeElement.id") == "epoch"
        expect(page.locator("#which")).to_have_text("epoch 3 of 3")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#which")).to_have_text("epoch 2 of 3")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#play")).to_have_text("Pause")
        expect(page.locator("#which")).to_have_text("epoch 3 of 3", timeout=PATIENCE)
        expect(page.locator("#play")).to_have_text("Play", timeout=PATIENCE)
        page.close()


def figures_are_saved(browser, scratch):
    with served(scratch / "keys") as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#report section").first).to_be_visible(timeout=PATIENCE)
        figure = page.locator("#report figure").first
        with page.expect_download() as download:
            figure.get_by_text("Save as SVG").click()
        text = pathlib.Path(download.value.path()).read_text()
        assert text.startswith("<svg") and "xmlns=\"http://www.w3.org/2000/svg\"" in text
        with page.expect_download() as download:
            figure.get_by_text("Numbers as CSV").click()
        assert pathlib.Path(download.value.path()).read_text().startswith("series,x,value,low,high\n")
        page.close()


def narrow_pages_do_not_scroll_sideways(browser, scratch):
    for width, scheme in ((400, "light"), (400, "dark"), (800, "light"), (1400, "light")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        with served(scratch / "keys") as address:
            page.goto(address)
            expect(page.locator("#frame svg.plane")).to_be_visible(timeout=PATIENCE)
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider == 0, f"{width} px: {wider} px too wide"
        context.close()


def a_run_shows_itself_to_its_end(browser, scratch):
    command = [PROGRAM, "train", "-q", "--epochs", "8", *FEW, "--out", str(scratch / "itself"), "--serve"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    page = browser.new_page()
    page.goto(run.stdout.readline().strip())
    expect(page.locator("#runs li")).to_have_class("finished", timeout=PATIENCE)
    expect(page.locator("#report")).to_contain_text("Results", timeout=PATIENCE)
    assert "Collapse of the training set" in run.stdout.read()
    assert run.wait(60) == 0
    page.close()


def others_are_refused(_browser, scratch):
    with served(scratch / "keys") as address:
        base, word = address.split("/?word=")

        def status(path, **headers):
            try:
                request = urllib.request.Request(base + path, headers=headers)
                with urllib.request.urlopen(request) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code

        assert status("/runs", **{"X-Tagwise-Word": word}) == 200
        assert status("/runs") == status("/") == status("/?word=0" + word[1:] + "0") == 403
        assert status("/runs", **{"X-Tagwise-Word": word, "Origin": "http://evil.example"}) == 403
        assert status("/runs", **{"X-Tagwise-Word": word, "Host": "evil.example"}) == 403
        assert status("/page?run=/etc/passwd", **{"X-Tagwise-Word": word}) == 404


def a_thousand_epochs_of_150_classes(browser, scratch):
    """A made-up run: the page must come in 20 s and the server stay below 1 GB."""
    run = scratch / "long"
    shutil.copytree(scratch / "keys", run)
    for gone in ("report.json", "report.html", "summary.json", "frames.jsonl"):
        (run / gone).unlink()
    names = [f"category {k}" for k in range(150)]
    network = json.loads((run / "network.json").read_text())
    network["class_names"], network["network"]["num_classes"] = names, 150
    (run / "network.json").write_text(json.dumps(network))
    config = (run / "config.toml").read_text().replace("epochs = 3", "epochs = 1000")
    (run / "config.toml").write_text(config)
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    row = last["measured"]["collapse"]["classes"][0]
    last["measured"]["collapse"]["classes"] = [{**row, "class": k} for k in range(150)]
    frame = json.loads((scratch / "keys" / "frames.jsonl").read_text().splitlines()[-1])
    import base64

    for one in frame["maps"]:
        one["cells"] = base64.b64encode(bytes(range(150)) * 150).decode()
    with (run / "metrics.jsonl").open("w") as records, (run / "frames.jsonl").open("w") as frames:
        for epoch in range(1001):
            records.write(json.dumps({**last, "epoch": epoch}) + "\n")
            if epoch % 4 == 0:
                frames.write(json.dumps({**frame, "epoch": epoch}) + "\n")
    with served(run) as address:
        page = browser.new_page()
        began = time.monotonic()
        page.goto(address)
        expect(page.locator("#report svg.chart").first).to_be_visible(timeout=20_000)
        expect(page.locator("#frame svg.heat")).to_have_count(2, timeout=20_000)
        first = time.monotonic() - began
        expect(page.locator("#which")).to_have_text("epoch 1000 of 1000")
        page.locator("#epoch").focus()
        began = time.monotonic()
        with page.expect_response(lambda answer: "/frame" in answer.url) as answer:
            page.keyboard.press("ArrowLeft")
        answer.value.finished()
        expect(page.locator("#which")).to_have_text("epoch 996 of 1000")
        print(f"  page {first:.1f} s, an epoch {time.monotonic() - began:.1f} s, {memory_of('ui')}")
        page.close()


def memory_of(word):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[0].decode() == PROGRAM and word.encode() in arguments:
                for line in (process / "status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        megabytes = int(line.split()[1]) // 1024
                        assert megabytes < 1000, line
                        return f"{megabytes} MB at most"
    return "memory not known here"


def main():
    checks = [
        two_runs_at_once_killed_resumed_and_deleted,
        names_are_text,
        the_keyboard_is_enough,
        figures_are_saved,
        narrow_pages_do_not_scroll_sideways,
        a_run_shows_itself_to_its_end,
        others_are_refused,
        a_thousand_epochs_of_150_classes,
    ]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for check in checks:
            began = time.monotonic()
            check(browser, pathlib.Path(scratch))
            print(f"{check.__name__.replace('_', ' ')}: {time.monotonic() - began:.0f} s", flush=True)
        browser.close()
    print(f"{len(checks)} passed, 0 failed")


if __name__ == "__main__":
    main()
