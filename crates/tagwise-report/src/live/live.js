(() => {
  const element = (id) => document.getElementById(id);
  const word = document.body.dataset.word;
  const ask = (path, parameters) =>
    fetch(path + "?" + new URLSearchParams(parameters), { headers: { "X-Tagwise-Word": word } });
  const chosen = new Set();
  let runs = [];
  let shown = ""; // what the report was drawn from
  let epochs = []; // those with pictures
  let watched = null; // the run whose epochs are shown
  let playing = null;
  let asked = 0; // the last frame that was asked for

  const words = { running: "running", interrupted: "interrupted", finished: "finished" };
  const line = (run) => {
    const item = document.createElement("li");
    item.dataset.run = run.run;
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(run.run);
      else chosen.delete(run.run);
      draw();
    });
    const name = document.createElement("b");
    const state = document.createElement("span");
    state.className = "state";
    const bar = document.createElement("progress");
    label.append(box, name, state, bar);
    item.append(label);
    return item;
  };
  // The list changes in place, so that whoever is on a box with the keyboard stays there.
  const list = () => {
    const items = new Map([...element("runs").children].map((item) => [item.dataset.run, item]));
    for (const [path, item] of items) {
      if (!runs.some((run) => run.run === path)) {
        item.remove();
        chosen.delete(path);
      }
    }
    for (const run of runs) {
      const item = items.get(run.run) || line(run);
      if (!item.parentNode) element("runs").append(item);
      item.className = run.state;
      item.querySelector("input").checked = chosen.has(run.run);
      item.querySelector("b").textContent = run.name;
      item.querySelector("b").title = run.run;
      const text = `${words[run.state]}, epoch ${run.epoch} of ${run.epochs}`;
      const state = item.querySelector(".state");
      if (state.textContent !== text) state.textContent = text;
      const bar = item.querySelector("progress");
      bar.max = run.epochs;
      bar.value = run.epoch;
      bar.setAttribute("aria-label", `Epochs of ${run.name}`);
    }
    element("none").hidden = runs.length > 0;
  };

  const frame = async (at) => {
    const epoch = epochs[at];
    if (epoch === undefined || !watched) return;
    element("which").textContent = `epoch ${epoch} of ${epochs[epochs.length - 1]}`;
    const number = ++asked;
    const answer = await ask("/frame", { run: watched, epoch });
    if (!answer.ok || number !== asked) return;
    element("frame").innerHTML = await answer.text();
    hover(element("frame"));
    save(element("frame"));
  };
  const pause = () => {
    clearTimeout(playing);
    playing = null;
    element("play").textContent = "Play";
  };
  const step = async () => {
    const slider = element("epoch");
    slider.value = +slider.value + 1;
    await frame(+slider.value);
    if (playing === null) return;
    if (+slider.value >= epochs.length - 1) return pause();
    playing = setTimeout(step, Math.max(60, Math.min(400, 8000 / epochs.length)));
  };
  element("play").addEventListener("click", () => {
    if (playing !== null) return pause();
    const slider = element("epoch");
    if (+slider.value >= epochs.length - 1) slider.value = -1;
    element("play").textContent = "Pause";
    playing = setTimeout(step, 0);
  });
  element("epoch").addEventListener("input", () => {
    pause();
    frame(+element("epoch").value);
  });

  const watch = async () => {
    const only = chosen.size === 1 ? [...chosen][0] : null;
    if (only !== watched) pause();
    const isNew = only !== watched;
    watched = only;
    const answer = only && (await ask("/epochs", { run: only }));
    const found = answer && answer.ok ? (await answer.json()).epochs : [];
    if (only !== watched) return;
    const slider = element("epoch");
    const wasAtEnd = isNew || +slider.value >= epochs.length - 1;
    const grew = found.length !== epochs.length;
    epochs = found;
    slider.max = Math.max(0, epochs.length - 1);
    element("watch").hidden = epochs.length === 0;
    // Whoever looks at the last epoch sees the next one when it is there.
    if (wasAtEnd && playing === null && epochs.length && (isNew || grew)) {
      slider.value = epochs.length - 1;
      await frame(epochs.length - 1);
    }
  };

  const draw = async () => {
    const wanted = runs.filter((run) => chosen.has(run.run));
    const from = JSON.stringify(wanted.map((run) => [run.run, run.stamp]));
    if (from === shown) return;
    shown = from;
    element("empty").hidden = wanted.length > 0;
    watch();
    if (!wanted.length) {
      element("report").replaceChildren();
      return;
    }
    const answer = await ask("/page", wanted.map((run) => ["run", run.run]));
    const text = await answer.text();
    if (from !== shown) return;
    const report = element("report");
    const open = new Set([...report.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
    if (answer.ok) {
      report.innerHTML = text;
      for (const summary of report.querySelectorAll("details > summary")) {
        if (open.has(summary.textContent)) summary.parentNode.open = true;
      }
      hover(report);
      save(report);
    } else {
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = text;
      report.replaceChildren(note);
    }
  };

  const look = async () => {
    try {
      const answer = await ask("/runs", {});
      if (!answer.ok) throw new Error(await answer.text());
      runs = (await answer.json()).runs;
      element("lost").hidden = true;
      element("view").classList.remove("stale");
      if (!chosen.size && !shown && runs.length === 1) chosen.add(runs[0].run);
      list();
      await draw();
    } catch {
      element("lost").hidden = false;
      element("view").classList.add("stale");
    }
    setTimeout(look, 1500);
  };
  look();
})();
