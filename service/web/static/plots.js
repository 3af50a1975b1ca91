// Draws a chart that a pointer or the arrow keys read over each picture that carries its data.
// The picture itself stays for who has no scripts.
"use strict";
(() => {
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const amount = new Intl.NumberFormat("en-US", {
    style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 4,
  });
  const colour = (name) => () => getComputedStyle(document.body).getPropertyValue(name);
  const day = (at, weekly) => {
    const moment = new Date(1000 * at);
    return weekly ? DAYS[moment.getUTCDay()] : moment.toISOString().slice(0, 10);
  };
  const hour = (at) => new Date(1000 * at).toISOString().slice(11, 16);
  let drawn = [];

  const series = ({ label, colour: name, edge, how, values }) => ({
    label,
    stroke: colour(edge || name),
    width: how === "stacked" && !edge ? 0 : 1.5,
    dash: how === "dashed" ? [5, 4] : undefined,
    paths: uPlot.paths.stepped({ align: 1 }),
    points: { show: false },
    value: (_, __, ___, at) => (at == null ? "–" : `${amount.format(values[at])}/h`),
  });

  const draw = (plot) => {
    const { weekly, at, series: shown } = JSON.parse(plot.dataset.plot);
    const picture = plot.querySelector("svg");
    let below = at.map(() => 0);
    const lines = [], bands = [], data = [at];
    shown.forEach((one, index) => {
      const line = series(one);
      const values = one.how === "stacked" ? one.values.map((v, i) => v + below[i]) : one.values;
      if (one.how === "stacked") {
        if (index) bands.push({ series: [index + 1, index], fill: colour(one.colour) });
        else line.fill = colour(one.colour);
        below = values;
      }
      lines.push(line);
      data.push(values);
    });
    const ink = {
      stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false },
    };
    let steered = null;
    const width = () => Math.max(plot.clientWidth, 1);
    const height = Number(picture.getAttribute("height"));
    const chart = new uPlot({
      width: width(), height,
      tzDate: (seconds) => uPlot.tzDate(new Date(1000 * seconds), "Etc/UTC"),
      scales: { y: { range: (_, __, most) => [0, 1.05 * most || 1] } },
      axes: [
        { ...ink, size: 30, space: 90, values: (_, splits, __, ___, step) =>
          splits.map((one) => (step < 86400 && one % 86400 ? hour(one) : day(one, weekly))) },
        { ...ink, size: 64, values: (_, splits) => splits.map((one) => `${amount.format(one)}/h`) },
      ],
      series: [
        { label: "UTC", value: (_, one) => (one == null ? "–" : `${day(one, weekly)} ${hour(one)}`) },
        ...lines,
      ],
      bands,
      // A value holds from its instant on: the one before the cursor is told, not the nearest.
      cursor: { dataIdx: (_, __, near, x) => steered ?? (at[near] > x ? Math.max(near - 1, 0) : near) },
      legend: { markers: { show: false } },
    }, data, plot);
    const { root } = chart;
    root.tabIndex = 0;
    root.setAttribute("role", "img");
    root.setAttribute("aria-label", picture.getAttribute("aria-label"));
    root.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const from = chart.cursor.idxs?.[0] ?? (step > 0 ? -1 : at.length);
      steered = Math.min(Math.max(from + step, 0), at.length - 1);
      chart.setCursor({ left: chart.valToPos(at[steered], "x"), top: 0 });
      steered = null;
    });
    plot.classList.add("drawn");
    new ResizeObserver((_, observer) =>
      root.isConnected ? chart.setSize({ width: width(), height }) : observer.disconnect()
    ).observe(plot);
    drawn.push(chart);
  };

  const drawAll = () => {
    drawn = drawn.filter((chart) => chart.root.isConnected || chart.destroy());
    document.querySelectorAll("[data-plot]:not(.drawn)").forEach(draw);
  };
  drawAll();
  // After htmx put a page in place; a chart of the same data is left as it is, with its zoom.
  document.addEventListener("htmx:load", drawAll);
  if (window.Idiomorph) {
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) =>
      !(old.dataset?.plot && old.dataset.plot === fresh.dataset?.plot);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    drawn.forEach((chart) => chart.redraw()));
})();
