// Draws the figures in the colours of the reader's scheme, and again when scheme or width change what they look like.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("report-figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const views = new Map();
  // For tests and the curious: views by figure, and what went wrong.
  window.stockpotReport = { views, failures: [], ready: Promise.resolve() };

  const paint = (value, palette) => {
    if (Array.isArray(value)) return value.map((each) => paint(each, palette));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, paint(each, palette)]));
    }
    if (typeof value === "string" && value.startsWith("@")) return palette[value.slice(1)] ?? value;
    return value;
  };

  const columnsOf = (width) => Math.max(1, Math.min(4, Math.floor(width / 210)));

  async function draw(figure) {
    const plot = document.querySelector(`#figure-${figure.id} .plot`);
    const palette = page.palettes[dark.matches ? "dark" : "light"];
    const spec = paint(figure.spec, palette);
    spec.width = "container";
    spec.datasets = figure.data;
    spec.description = figure.title;
    spec.config = paint(page.config, palette);
    spec.config.legend.columns = columnsOf(plot.clientWidth);
    const theme = dark.matches ? "dark" : "light";
    views.get(figure.id)?.finalize();
    // ast: expressions are interpreted, since the page's policy allows no eval.
    const options = { actions: false, renderer: "svg", ast: true, tooltip: { theme } };
    const result = await vegaEmbed(plot, spec, options);
    views.set(figure.id, result);
  }

  async function drawAll() {
    for (const figure of page.figures) {
      try {
        await draw(figure);
      } catch (error) {
        window.stockpotReport.failures.push(`${figure.id}: ${error}`);
        console.error(`figure ${figure.id}:`, error);
      }
    }
  }

  async function save(event) {
    const format = event.target.dataset.save;
    if (!format) return;
    const id = event.target.closest("figure").id.replace("figure-", "");
    const link = document.createElement("a");
    link.href = await views.get(id).view.toImageURL(format, 2);
    link.download = `${id}.${format}`;
    link.click();
  }

  // After the drawing under way: two at once would fill the same places.
  const drawAgain = () => { window.stockpotReport.ready = window.stockpotReport.ready.then(drawAll); };
  let columns = columnsOf(document.body.clientWidth);
  window.addEventListener("resize", () => {
    const now = columnsOf(document.body.clientWidth);
    if (now !== columns) drawAgain();
    columns = now;
  });
  dark.addEventListener("change", drawAgain);
  document.addEventListener("click", save);
  document.documentElement.classList.add("drawn");
  drawAgain();
})();
