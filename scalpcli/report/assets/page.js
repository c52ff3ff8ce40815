"use strict";
/* Draws the plots of a report from the JSON in the page. No network, no storage, no eval. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const money = (value) => (value == null ? "-" : value.toLocaleString("en-US", { maximumFractionDigits: 2 }));
  const drawn = [];

  const axis = (label, values, size) => ({
    label, labelSize: 18, labelFont: "12px system-ui", font: "11px system-ui", size: size || 46,
    stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { stroke: colour("line"), width: 1 },
    ...(values ? { values } : {}),
  });
  const short = (_, ticks) => ticks.map((tick) => (tick == null ? "" : Math.abs(tick) >= 1e5 ? `${Math.round(tick / 1e3)}k` : String(+tick.toFixed(4)).replace(/\B(?=(\d{3})+(?!\d|\.))/g, ",")));
  const line = (label, name, width, more) => ({ label, stroke: colour(name), width: width || 1.5, points: { show: false }, value: (_, v) => money(v), ...more });
  const dots = (label, name, size) => ({ label, stroke: colour(name), paths: () => null, points: { show: true, size: size || 6, fill: colour(name) }, value: (_, v) => money(v) });
  const bars = (label, name) => ({ label, stroke: colour(name), fill: colour(name), paths: uPlot.paths.bars({ size: [0.9, 60] }), points: { show: false } });

  /* A plot in the element of this id; `make` gives options and data anew, so that a change of theme redraws. */
  const plot = (id, height, make) => {
    const place = document.getElementById(id);
    if (!place) return;
    let chart = null;
    const draw = () => {
      const made = make();
      if (!made) return;
      if (chart) chart.destroy();
      chart = new uPlot({ width: place.clientWidth, height, ms: 1, ...made.options }, made.data, place);
    };
    drawn.push(draw);
    draw();
    new ResizeObserver(() => chart && chart.setSize({ width: place.clientWidth, height })).observe(place);
    return draw;
  };
  const stepped = { paths: uPlot.paths.stepped({ align: 1 }) };
  const flat = { x: { time: false } };

  const clock = (seconds) => {
    const minutes = 570 + Math.floor(seconds / 60);
    return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
  };
  /* One unit of x is one session: a day's name, and the time in it where few days are shown. */
  const few = data.equity.sessions.length <= 3;
  const at = (x) => {
    const number = Math.min(Math.max(Math.floor(x), 0), data.equity.sessions.length - 1);
    const session = data.equity.sessions[number];
    return few ? clock((x - number) * data.equity.lengths_s[number]) : session.slice(5, 10);
  };
  const told = (x) => (x == null ? "-" : `${data.equity.sessions[Math.floor(x)] || ""} ${few ? at(x) : ""}`);
  const sessionAxis = () => ({
    ...axis(data.equity.sessions.length === 1 ? data.equity.sessions[0] : "session", (_, ticks) => ticks.map(at)),
    incrs: few ? [1800, 3600, 7200, 23400].map((seconds) => seconds / data.equity.lengths_s[0]) : [1, 2, 5, 10, 20, 50, 100, 200, 500],
  });

  plot("equity", 260, () => ({
    options: { scales: flat, axes: [sessionAxis(), axis("USD", short, 60)], series: [{ label: "at", value: (_, v) => told(v) }, line("equity", "main", 2, stepped)] },
    data: [data.equity.x, data.equity.usd],
  }));
  plot("drawdown", 150, () => ({
    options: { scales: flat, axes: [sessionAxis(), axis("%", short, 60)], series: [{ label: "at", value: (_, v) => told(v) }, line("drawdown", "bad", 1, { fill: colour("bad") + "33", ...stepped })] },
    data: [data.equity.x, data.equity.drawdown_pct],
  }));

  /* Entries point up from the price, exits down to it; green made money, red lost it. */
  const marks = (day) => (chart) => {
    const context = chart.ctx;
    const draw = (x, price, up, won) => {
      const left = chart.valToPos(x, "x", true), top = chart.valToPos(price, "y", true), size = 7 * devicePixelRatio;
      context.fillStyle = colour(won ? "good" : "bad");
      context.beginPath();
      context.moveTo(left, top);
      context.lineTo(left - size, top + (up ? 1.6 : -1.6) * size);
      context.lineTo(left + size, top + (up ? 1.6 : -1.6) * size);
      context.fill();
    };
    context.save();
    let last = -1e9;
    for (const level of day.levels) {
      const top = chart.valToPos(level.price, "y", true);
      context.strokeStyle = colour("line");
      context.setLineDash([4, 4]);
      context.beginPath();
      context.moveTo(chart.bbox.left, top);
      context.lineTo(chart.bbox.left + chart.bbox.width, top);
      context.stroke();
      context.fillStyle = colour("quiet");
      context.textAlign = "left";
      context.font = `${10 * devicePixelRatio}px system-ui`;
      if (Math.abs(top - last) > 13 * devicePixelRatio) context.fillText(level.name, chart.bbox.left + 4, top - 3);
      last = top;
    }
    for (const trade of day.trades) {
      draw(trade.x, trade.price, true, trade.net > 0);
      draw(trade.x_out, trade.price_out, false, trade.net > 0);
    }
    context.restore();
  };
  const chooser = document.getElementById("day-choice");
  const chosen = () => data.days[chooser ? chooser.selectedIndex : 0];
  const dayPlot = plot("day", 320, () => {
    const day = chosen();
    return day && {
      options: {
        scales: flat, hooks: { draw: [marks(day)] },
        axes: [{ ...axis("New York time", (_, ticks) => ticks.map(clock)), incrs: [60, 300, 900, 1800, 3600, 7200] }, axis("USD", short, 56)],
        series: [{ label: "at", value: (_, v) => (v == null ? "-" : clock(v)) }, line("price", "main", 1), line("VWAP", "other", 1.5)],
      },
      data: [day.x, day.price, day.vwap],
    };
  });
  if (chooser && dayPlot) chooser.addEventListener("change", dayPlot);

  const around = (id, name, label) => plot(id, 220, () => {
    const rows = data.around[name];
    if (!rows.length) return null;
    const thin = rows.map((_, i) => ({ label: `#${data.around.trades[i]}`, stroke: colour("line"), width: 1, points: { show: false } }));
    return {
      options: { scales: flat, legend: { show: false }, axes: [axis("seconds from the signal"), axis(label, short, 52)], series: [{}, ...thin, line("mean", "main", 2.5)] },
      data: [data.around.x, ...rows, data.around[`${name}_mean`]],
    };
  });
  around("velocity", "velocity_pct", "% in 30 s, with the trade");
  around("volume", "volume_ratio", "volume, times the session's");

  /* Half a bar's room on either side. */
  const padded = (chart, low, high) => {
    const x = chart.data[0], half = x.length > 1 ? (x[1] - x[0]) / 2 : 1;
    return [low - half, high + half];
  };
  const histogram = (id, found, label, name) => plot(id, 220, () => found.x.length ? {
    options: { scales: { x: { time: false, range: padded } }, legend: { show: false }, axes: [axis(label, short), axis("", short)], series: [{}, bars("count", name)] },
    data: [found.x, found.counts],
  } : null);
  histogram("pnl", data.pnl, "net of a trade, USD", "main");
  histogram("slippage", data.slippage, "USD a contract, against the touch when decided", "other");

  plot("excursions", 260, () => data.excursions.x.length ? {
    options: { scales: flat, axes: [axis("MAE, % of the premium", short), axis("MFE, %", short)], series: [{ label: "MAE", value: (_, v) => money(v) }, dots("winners", "good"), dots("losers", "bad")] },
    data: [data.excursions.x, data.excursions.won, data.excursions.lost],
  } : null);

  plot("markouts", 260, () => data.markouts.x.length ? {
    options: {
      scales: { x: { time: false, distr: 3 } }, axes: [axis("seconds after the fill", short), axis("USD a contract", short)],
      series: [{ label: "after", value: (_, v) => (v == null ? "-" : `${v} s`) }, line("entries", "main", 2), line("entries low", "main", 0.7), line("entries high", "main", 0.7), line("exits", "other", 2), line("exits low", "other", 0.7), line("exits high", "other", 0.7)],
    },
    data: [data.markouts.x, ...data.markouts.lines],
  } : null);

  plot("reliability", 240, () => data.reliability.x.length ? {
    options: { scales: { ...flat, y: { range: [0, 100] } }, axes: [axis("confidence"), axis("won, %")], series: [{ label: "confidence" }, { ...dots("won", "main", 9) }, line("low", "main", 0.7), line("high", "main", 0.7)] },
    data: [data.reliability.x, data.reliability.won, data.reliability.low, data.reliability.high],
  } : null);

  /* Colours of cells and lengths of bars are set here: style attributes would need a laxer policy. */
  const heat = () => {
    const cells = [...document.querySelectorAll("[data-net]")];
    const most = Math.max(1e-9, ...cells.map((cell) => Math.abs(+cell.dataset.net)));
    for (const cell of cells) {
      const share = Math.round((Math.abs(+cell.dataset.net) / most) * 70);
      cell.style.background = `color-mix(in srgb, ${colour(+cell.dataset.net >= 0 ? "good" : "bad")} ${share}%, transparent)`;
    }
  };
  drawn.push(heat);
  heat();
  for (const bar of document.querySelectorAll("[data-share]")) bar.style.width = `${bar.dataset.share}%`;
  dark.addEventListener("change", () => drawn.forEach((draw) => draw()));
  document.documentElement.dataset.drawn = String(document.querySelectorAll(".uplot canvas").length);
})();
