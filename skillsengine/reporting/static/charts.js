/* Draws the charts of a page with Chart.js: each `figure.chart` holds a canvas, and beside it the data in a script element of
   type application/json (templates/chart.html). This file is put into pages whole, so it must not name such an element's end.

   Kinds are `lines`, `bars` and `intervals` (skillsengine/reporting/charts.py makes them). Colours are those of the page's CSS
   variables, so a chart follows the theme, and is drawn anew for paper. `skillsengineCharts.update(figure, data)` draws new data. */
"use strict";

const skillsengineCharts = (() => {
  const drawn = new Map();

  /* A CSS colour as the browser resolves it: variables hold light-dark(), which a canvas does not know. */
  function colour(name) {
    const probe = document.createElement("i");
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function palette() {
    const names = ["ink", "muted", "line", "card", "tone-1", "tone-2", "tone-3", "tone-4"];
    return Object.fromEntries(names.map((name) => [name, colour(name)]));
  }

  const short = (value) =>
    Math.abs(value) >= 1000 || Number.isInteger(value)
      ? value.toLocaleString("en")
      : Number(value.toPrecision(4)).toString();

  /* The label of a row on as many lines as a narrow chart wants. */
  function label(value) {
    const text = this.getLabelForValue(value);
    if (this.chart.width > 440) return text;
    return text.match(/.{1,15}(?:\s|$)|\S+/g).map((part) => part.trim());
  }

  function axis(colours, title, more = {}) {
    return {
      border: { color: colours.line },
      grid: { color: colours.line, drawTicks: false, ...more.grid },
      ticks: { color: colours.muted, padding: 6, maxRotation: 0, autoSkipPadding: 16, ...more.ticks },
      title: { display: Boolean(title), text: title, color: colours.muted },
      ...more.scale,
    };
  }

  /* A line across the chart at one x, with words beside it. */
  function rule(colours, mark, place) {
    return {
      id: "rule",
      afterDatasetsDraw(chart) {
        const x = mark && place(chart);
        const { ctx, chartArea: area } = chart;
        if (!mark || !(x >= area.left - 1 && x <= area.right + 1)) return;
        ctx.save();
        ctx.strokeStyle = colours["tone-2"];
        ctx.fillStyle = colours.ink;
        ctx.lineWidth = 1.5;
        ctx.setLineDash([5, 4]);
        ctx.beginPath();
        ctx.moveTo(x, area.top);
        ctx.lineTo(x, area.bottom);
        ctx.stroke();
        const right = x > (area.left + area.right) / 2;
        ctx.textAlign = right ? "right" : "left";
        ctx.font = `12px ${Chart.defaults.font.family}`;
        ctx.fillText(mark.label, x + (right ? -7 : 7), area.top + 12);
        ctx.restore();
      },
    };
  }

  function lines(data, colours) {
    const last = Math.max(...data.series.flatMap((series) => series.points.map(([x]) => x)));
    return {
      type: "line",
      data: {
        datasets: data.series.map((series) => ({
          label: series.name,
          data: series.points.map(([x, y]) => ({ x, y })),
          borderColor: colours[`tone-${series.tone}`],
          backgroundColor: colours[`tone-${series.tone}`],
          borderWidth: 2,
          pointRadius: series.dots ? 3 : 0,
          pointHitRadius: 12,
          tension: 0,
          clip: 6, // or the first and the last dot are halves
        })),
      },
      options: {
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: axis(colours, data.x, {
            grid: { display: false },
            scale: { type: "linear", min: 0, max: last },
            ticks: { precision: 0 },
          }),
          y: axis(colours, data.y, { scale: { beginAtZero: data.zero, grace: "5%" }, ticks: { callback: short } }),
        },
        plugins: {
          legend: { display: data.series.length > 1 },
          tooltip: {
            callbacks: {
              title: (items) => `step ${short(items[0].parsed.x)}`,
              label: (item) => `${item.dataset.label}: ${short(item.parsed.y)}`,
            },
          },
        },
      },
      plugins: [rule(colours, data.mark, (chart) => chart.scales.x.getPixelForValue(data.mark.x))],
    };
  }

  function bars(data, colours) {
    const edges = data.edges;
    const last = edges[edges.length - 1];
    return {
      type: "bar",
      data: {
        labels: edges.slice(0, -1).map(String),
        datasets: data.series.map((series) => ({
          label: series.name,
          data: series.counts,
          backgroundColor: colours[`tone-${series.tone}`],
          borderColor: colours.card,
          borderWidth: { right: 1 },
          barPercentage: 1,
          categoryPercentage: 1,
        })),
      },
      options: {
        interaction: { mode: "index", intersect: false },
        scales: {
          x: axis(colours, data.x, { grid: { display: false }, scale: { stacked: true } }),
          y: axis(colours, data.y, { scale: { stacked: true, beginAtZero: true }, ticks: { precision: 0 } }),
        },
        plugins: {
          legend: { display: data.series.length > 1 },
          tooltip: { callbacks: { title: (items) => `${edges[items[0].dataIndex]} to ${edges[items[0].dataIndex + 1] - 1}` } },
        },
      },
      plugins: [
        rule(colours, data.mark, ({ chartArea: area }) => {
          return area.left + ((data.mark.x - edges[0]) / (last - edges[0])) * (area.right - area.left);
        }),
      ],
    };
  }

  function intervals(data, colours) {
    const rows = data.rows;
    const value = data.standing ? "y" : "x";
    const ends = rows.map((row) => [row.low ?? row.value, row.high ?? row.value]);
    const shaded = (place) => colours[data.marked === -1 || place === data.marked ? "tone-1" : "muted"];
    return {
      type: "bar",
      data: {
        labels: rows.map((row) => row.name),
        datasets: [
          {
            data: ends,
            backgroundColor: rows.map((row, place) => shaded(place)),
            barThickness: 4,
            borderRadius: 2,
            borderSkipped: false,
          },
        ],
      },
      options: {
        indexAxis: data.standing ? "x" : "y",
        interaction: { mode: "index", axis: data.standing ? "x" : "y", intersect: false },
        scales: {
          [value]: axis(colours, "", {
            scale: { suggestedMin: 0, suggestedMax: Math.min(1, Math.max(...ends.flat()) * 1.1) },
          }),
          [data.standing ? "x" : "y"]: axis(colours, "", {
            grid: { display: false },
            ticks: { color: colours.ink, callback: label, autoSkip: data.standing },
          }),
        },
        plugins: {
          legend: { display: false },
          tooltip: {
            callbacks: {
              label: ({ dataIndex }) => {
                const { value: at, low, high } = rows[dataIndex];
                return at.toFixed(3) + (low == null ? "" : ` (${low.toFixed(3)} to ${high.toFixed(3)})`);
              },
            },
          },
        },
      },
      plugins: [
        {
          id: "dots",
          afterDatasetsDraw(chart) {
            const scale = chart.scales[value];
            chart.getDatasetMeta(0).data.forEach((bar, place) => {
              const at = scale.getPixelForValue(rows[place].value);
              chart.ctx.save();
              chart.ctx.beginPath();
              chart.ctx.arc(data.standing ? bar.x : at, data.standing ? at : bar.y, 6, 0, 2 * Math.PI);
              chart.ctx.fillStyle = shaded(place);
              chart.ctx.fill();
              chart.ctx.lineWidth = 2;
              chart.ctx.strokeStyle = colours.card;
              chart.ctx.stroke();
              chart.ctx.restore();
            });
          },
        },
      ],
    };
  }

  const kinds = { lines, bars, intervals };

  function draw(figure) {
    const canvas = figure.querySelector("canvas");
    const block = figure.querySelector('script[type="application/json"]');
    if (!canvas || !block) return;
    const data = JSON.parse(block.textContent);
    const colours = palette();
    const config = kinds[data.kind](data, colours);
    Object.assign(config.options, {
      animation: false, // what is printed right after loading is whole
      responsive: true,
      maintainAspectRatio: false,
      devicePixelRatio: Math.max(2, window.devicePixelRatio || 1), // sharp on paper
    });
    const { legend, tooltip } = config.options.plugins;
    Object.assign(legend, {
      align: "start",
      labels: { color: colours.ink, usePointStyle: true, pointStyle: "circle", boxHeight: 6 },
    });
    Object.assign(tooltip, {
      backgroundColor: colours.ink,
      titleColor: colours.card,
      bodyColor: colours.card,
      displayColors: false,
      padding: 8,
    });
    drawn.get(figure)?.destroy();
    drawn.set(figure, new Chart(canvas, config));
    figure.dataset.drawn = "";
  }

  function update(figure, data) {
    figure.querySelector('script[type="application/json"]').textContent = JSON.stringify(data);
    draw(figure);
  }

  function drawAll() {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    document.querySelectorAll("figure.chart").forEach(draw);
  }

  function start() {
    document.documentElement.classList.add("js");
    drawAll();
    for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", drawAll);
    new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    addEventListener("beforeprint", () => {
      document.documentElement.dataset.printing = "";
      drawAll();
    });
    addEventListener("afterprint", () => {
      delete document.documentElement.dataset.printing;
      drawAll();
    });
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
  return { draw, drawAll, update };
})();
