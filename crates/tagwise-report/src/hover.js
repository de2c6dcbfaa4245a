(() => {
  for (const svg of document.querySelectorAll("svg.chart")) {
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
    const box = document.createElement("div");
    box.className = "readout";
    box.hidden = true;
    document.body.append(box);
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
})();
