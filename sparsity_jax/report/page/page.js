"use strict";
// Sorting and filtering of every table, copying, and the slider over gamma and beta. Text only ever reaches
// the page through textContent, so no name can become markup.
(() => {
  const $ = (id) => document.getElementById(id);

  // Sorting: a click on a header sorts its table by that column; unknown numbers stay at the end.
  const sortBy = (table, column, sign) => {
    const known = (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value));
    const rows = [...table.tBodies[0].rows];
    const numeric = rows.some((row) => known(row.cells[column]) !== null);
    const order = (a, b) => {
      const x = a.cells[column], y = b.cells[column];
      if (!numeric) return sign * x.textContent.localeCompare(y.textContent, "en", { numeric: true });
      if (known(x) === null || known(y) === null) return (known(x) === null) - (known(y) === null);
      return sign * (known(x) - known(y));
    };
    table.tBodies[0].append(...rows.sort(order));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const next = head.getAttribute("aria-sort") === first ? second : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", next);
      sortBy(table, column, next === "ascending" ? 1 : -1);
    }));
  }

  // Filtering: every word must occur in the row; spaces, dashes and underscores are alike.
  const simple = (text) => text.toLowerCase().replace(/[\s_,]+/g, " ");
  const filter = $("filter");
  const apply = () => {
    const words = simple(filter.value).split(" ").filter(Boolean);
    for (const table of document.querySelectorAll("table.sortable")) {
      const rows = [...table.tBodies[0].rows];
      for (const row of rows) {
        const text = simple(`${row.textContent} ${row.cells[0].title}`);  // the run's folder too
        row.hidden = !words.every((word) => text.includes(word));
      }
      if (table.classList.contains("results")) {
        const left = rows.filter((row) => !row.hidden).length;
        $("matches").textContent = words.length ? `${left} of ${rows.length}` : `${rows.length} rows`;
      }
    }
  };
  filter.addEventListener("input", apply);
  apply();

  // Figures: a tap makes one larger than a phone's screen, to be moved about; another undoes it.
  for (const picture of document.querySelectorAll("picture")) {
    picture.addEventListener("click", () => picture.classList.toggle("large"));
  }

  // Commands: a button copies one; where the browser forbids that, the command is selected.
  for (const button of document.querySelectorAll("button.copy")) {
    const code = button.parentElement.querySelector("code");
    const say = (text) => {
      button.textContent = text;
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        say("Copied");
      } catch {
        getSelection().selectAllChildren(code);
        say("Selected");
      }
    });
  }

  // The slider.
  const data = JSON.parse($("data").textContent);
  if (!data.runs.length || !$("moment")) return;
  const bytes = new Map();
  const cellsOf = (run) => {
    if (!bytes.has(run)) bytes.set(run, Uint8Array.from(atob(run.cells), (c) => c.charCodeAt(0)));
    return bytes.get(run);
  };
  const make = (parent, name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const option = (select, value, text) => {
    const node = document.createElement("option");
    node.value = value;
    node.textContent = text;
    select.append(node);
  };
  const box = { left: 40, right: 408, top: 26, bottom: 212 };
  const chosen = () => data.runs[$("run").value];
  const compared = () => ($("other").value === "" ? null : data.runs[$("other").value]);

  // The heights of one histogram: square roots of shares, in [0, 1].
  const heights = (run, layer, share, kind) => {
    const at = run.layers.indexOf(layer);
    if (at < 0) return null;
    const times = run.epochs.length, time = Math.round(share * (times - 1));
    const start = ((at * times + time) * 2 + kind) * data.bins;
    return Array.from(cellsOf(run).subarray(start, start + data.bins), (value) => value / 255);
  };
  const ticks = (low, high) => {
    const rough = (high - low) / 4, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough);
    const made = [];
    for (let k = Math.ceil(low / step); k * step <= high; k += 1) made.push(Number((k * step).toPrecision(6)));
    return made;
  };
  const draw = (svg, kind, name, layer, share) => {
    svg.replaceChildren();
    const [low, high] = data.ranges[layer][name];
    const x = (value) => box.left + ((value - low) / (high - low)) * (box.right - box.left);
    const y = (height) => box.bottom - height * (box.bottom - box.top);
    make(svg, "text", { x: box.left, y: 16, class: "title" }, `${name} of ${layer}`);
    for (const percent of [1, 5, 25, 50, 100]) {
      const at = y(Math.sqrt(percent / 100));
      make(svg, "line", { x1: box.left, x2: box.right, y1: at, y2: at, class: "axis" });
      make(svg, "text", { x: box.left - 5, y: at + 4, "text-anchor": "end" }, `${percent}%`);
    }
    for (const tick of ticks(low, high)) {
      make(svg, "text", { x: x(tick), y: box.bottom + 17, "text-anchor": "middle" }, String(tick).replace("-", "−"));
    }
    const width = (box.right - box.left) / data.bins;
    const mine = heights(chosen(), layer, share, kind);
    mine.forEach((height, i) => {
      if (height) make(svg, "rect", { x: box.left + i * width + 0.5, y: y(height), width: width - 1, height: box.bottom - y(height), fill: chosen().color, class: "bar" });
    });
    const theirs = compared() && heights(compared(), layer, share, kind);
    if (theirs) {
      const path = theirs.map((h, i) => `${i ? "L" : "M"}${box.left + i * width} ${y(h)}H${box.left + (i + 1) * width}`).join("");
      const same = compared().color === chosen().color;
      make(svg, "path", { d: path, fill: "none", stroke: same ? "currentColor" : compared().color, "stroke-width": 2, class: "outline" });
    }
    make(svg, "line", { x1: x(0), x2: x(0), y1: box.top, y2: box.bottom, class: "zero" });
    make(svg, "text", { x: (box.left + box.right) / 2, y: 245, "text-anchor": "middle" }, name);
  };
  const sentence = (run, layer, share) => {
    const at = run.layers.indexOf(layer);
    if (at < 0) return `${run.label} has no ${layer}`;
    const dead = run.dead[at][Math.round(share * (run.epochs.length - 1))];
    return `${run.label}: ${dead} of ${run.filters[at]} filters inactive (${((100 * dead) / run.filters[at]).toFixed(0)} %)`;
  };
  const show = () => {
    const run = chosen(), time = Number($("moment").value), layer = $("layer").value;
    const share = run.epochs.length > 1 ? time / (run.epochs.length - 1) : 0;
    $("epoch").textContent = String(run.epochs[time]);
    const other = compared();
    $("dead").textContent = sentence(run, layer, share) + (other ? ` · outline: ${sentence(other, layer, share)}` : "");
    draw($("gamma"), 0, "gamma", layer, share);
    draw($("beta"), 1, "beta", layer, share);
  };
  const pick = () => {
    const run = chosen(), before = $("layer").value;
    $("layer").replaceChildren();
    run.layers.forEach((layer) => option($("layer"), layer, layer));
    $("layer").value = run.layers.includes(before) ? before : run.layers[run.start];
    const last = Number($("moment").max || 0), share = last ? Number($("moment").value) / last : 1;
    $("moment").max = run.epochs.length - 1;
    $("moment").value = Math.round(share * (run.epochs.length - 1));
    show();
  };
  option($("other"), "", "nothing");
  data.runs.forEach((run, i) => {
    option($("run"), i, run.label);
    option($("other"), i, run.label);
  });
  $("moment").max = 0;
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    $("play").textContent = "Play";
    $("play").setAttribute("aria-pressed", "false");
  };
  $("play").addEventListener("click", () => {
    if (timer) return stop();
    const moment = $("moment");
    if (moment.value === moment.max) moment.value = 0;
    $("play").textContent = "Pause";
    $("play").setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      moment.value = Number(moment.value) + 1;
      show();
      if (moment.value === moment.max) stop();
    }, 120);
    return undefined;
  });
  $("run").addEventListener("change", pick);
  for (const id of ["other", "layer"]) $(id).addEventListener("change", show);
  $("moment").addEventListener("input", () => { stop(); show(); });
  pick();
})();
