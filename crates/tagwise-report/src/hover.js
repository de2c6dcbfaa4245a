// What the pointer shows in the pictures within `root`.
const hover = (root) => {
  const box = document.querySelector("body > .readout") || document.createElement("div");
  box.className = "readout";
  box.hidden = true;
  document.body.append(box);
  for (const svg of root.querySelectorAll("svg.chart")) {
    const lines = [...svg.querySelectorAll("g.series")].map((group) => {
      const list = (name) => (group.dataset[name] || "").split(" ").filter(Boolean);
      const path = group.querySelector("path");
      const pixels = (path.getAttribute("d") || "").match(/-?[\d.]+,-?[\d.]+/g) || [];
      const xs = list("x"), ys = list("y");
      return {
        name: group.dataset.name,
        colour: getComputedStyle(path).stroke,
        points: pixels.map((pixel, i) => ({ at: +pixel.split(",")[0], x: xs[i], y: ys[i] })),
      };
    }).filter((line) => line.points.length);
    if (!lines.length) continue;
    const hair = document.createElementNS(svg.namespaceURI, "path");
    hair.setAttribute("class", "hair");
    hair.style.visibility = "hidden";
    svg.append(hair);
    const nearest = (points, at) =>
      points.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best));
    svg.addEventListener("pointermove", (event) => {
      const frame = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / frame.width;
      const target = nearest(lines.flatMap((line) => line.points), (event.clientX - frame.left) * scale);
      hair.setAttribute("d", `M${target.at},34V282`);
      hair.style.visibility = "visible";
      box.replaceChildren(`${svg.dataset.x} ${target.x}`);
      for (const line of lines) {
        const point = nearest(line.points, target.at);
        if (Math.abs(point.at - target.at) > 0.5) continue;
        const row = document.createElement("div");
        const value = document.createElement("b");
        row.style.color = line.colour;
        value.textContent = point.y;
        row.append(`${line.name} `, value);
        box.append(row);
      }
      box.hidden = false;
      const left = frame.left + target.at / scale + window.scrollX;
      const flip = left + 14 + box.offsetWidth > window.scrollX + document.documentElement.clientWidth;
      box.style.left = `${flip ? left - 14 - box.offsetWidth : left + 14}px`;
      box.style.top = `${event.clientY + window.scrollY - box.offsetHeight - 12}px`;
    });
    svg.addEventListener("pointerleave", () => {
      box.hidden = true;
      hair.style.visibility = "hidden";
    });
  }
  // Maps: the names and the cosine under the pointer, from the numbers that can be saved.
  const matrix = (figure) => {
    const link = figure.querySelector("a[download]");
    const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0));
    const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
    const cells = (line) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((cell) =>
      cell[1].startsWith('"') ? cell[1].slice(1, -1).replace(/""/g, '"') : cell[1]);
    const names = cells(lines[0]).slice(1, lines.length);
    return { names, values: lines.slice(1).map((line) => cells(line).slice(1)) };
  };
  for (const svg of root.querySelectorAll("svg.heat")) {
    const [left, top, side] = svg.dataset.cells.split(" ").map(Number);
    let cells = null;
    svg.addEventListener("pointermove", (event) => {
      cells ??= matrix(svg.closest("figure"));
      const frame = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / frame.width;
      const place = (at, from) => Math.floor((at * scale - from) / side * cells.names.length);
      const column = place(event.clientX - frame.left, left);
      const row = place(event.clientY - frame.top, top);
      const value = cells.values[row] && cells.values[row][column];
      box.hidden = value === undefined;
      if (box.hidden) return;
      const number = document.createElement("b");
      number.textContent = value === "" ? "–" : (+value).toFixed(4).replace("-", "−");
      box.replaceChildren(`${cells.names[row]}, ${cells.names[column]} `, number);
      const at = event.clientX + window.scrollX;
      const flip = at + 14 + box.offsetWidth > window.scrollX + document.documentElement.clientWidth;
      box.style.left = `${flip ? at - 14 - box.offsetWidth : at + 14}px`;
      box.style.top = `${event.clientY + window.scrollY - box.offsetHeight - 12}px`;
    });
    svg.addEventListener("pointerleave", () => { box.hidden = true; });
  }
};
