// Buttons that save the pictures within `root`, and tables that are sorted and searched.
const save = (root) => {
  // Pictures as files of their own, on white: their colours are attributes, no style sheet is needed.
  for (const button of root.querySelectorAll("button[data-save]")) {
    const svg = button.closest("figure").querySelector("svg");
    if (!svg) continue;
    button.hidden = false;
    button.addEventListener("click", () => {
      const copy = svg.cloneNode(true);
      const box = svg.viewBox.baseVal;
      copy.setAttribute("width", box.width);
      copy.setAttribute("height", box.height);
      for (const hair of copy.querySelectorAll(".hair")) hair.remove();
      const page = document.createElementNS(svg.namespaceURI, "rect");
      page.setAttribute("width", "100%");
      page.setAttribute("height", "100%");
      page.setAttribute("fill", "#ffffff");
      copy.prepend(page);
      const text = new XMLSerializer().serializeToString(copy);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
      link.download = button.dataset.save;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
  // Tables: sorted by a click on a heading, searched where they are long.
  const number = (text) => {
    const plain = text.replace(/,/g, "").replace(/−/g, "-").replace(/×10([⁻⁰¹²³⁴-⁹]+)/, (_, power) =>
      "e" + [...power].map((sign) => (sign === "⁻" ? "-" : "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(sign))).join(""));
    return parseFloat(plain);
  };
  for (const table of root.querySelectorAll(".scroll table")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 3) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const shown = (row) => {
          const cell = row.cells[at].cloneNode(true);
          for (const hidden of cell.querySelectorAll("[aria-hidden]")) hidden.remove();
          return cell.textContent.trim();
        };
        const numeric = head.classList.contains("n");
        const rows = [...body.rows].map((row) => [row, shown(row)]);
        rows.sort(([, a], [, b]) => {
          if (!numeric) return a.localeCompare(b, undefined, { numeric: true });
          const [x, y] = [number(a), number(b)];
          if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
          return x - y;
        });
        if (down) rows.reverse();
        body.append(...rows.map(([row]) => row));
      });
    });
    const fold = table.closest("details");
    if (!fold) continue;
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "Search";
    search.setAttribute("aria-label", "Search the rows of this table");
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(words);
    });
    table.closest(".scroll").before(search);
  }
};
