"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);

  const embed = (plot) => {
    const figure = figures[plot.dataset.figure];
    const property = plot.dataset.property;
    const rows = property ? figure.rows.filter((row) => row.property === property) : figure.rows;
    const own = figure.specs?.[property] ?? figure.spec;
    const spec = { ...own, datasets: { rows, extra: figure.extra } };
    return vegaEmbed(plot, spec, { actions: false, renderer: "svg", mode: "vega-lite" });
  };

  const chips = [...document.querySelectorAll("input[name=property]")];

  const show = () => {
    const on = new Set(chips.filter((chip) => chip.checked).map((chip) => chip.value));
    for (const panel of document.querySelectorAll("[data-panel]")) {
      panel.hidden = !on.has(panel.dataset.panel);
    }
    // Charts that were hidden while the window changed must measure their width again.
    window.dispatchEvent(new Event("resize"));
  };

  for (const chip of chips) chip.addEventListener("change", show);
  for (const button of document.querySelectorAll("button[data-choose]")) {
    button.addEventListener("click", () => {
      const which = button.dataset.choose;
      for (const chip of chips) {
        chip.checked = which === "all" || (which === "shown" && "shown" in chip.dataset);
      }
      show();
    });
  }

  Promise.all([...document.querySelectorAll("[data-figure]")].map(embed)).then(
    () => { document.documentElement.dataset.state = "ready"; },
    (error) => {
      document.documentElement.dataset.state = "failed";
      const note = document.getElementById("trouble");
      note.textContent = `The charts could not be drawn (${error.message}). All numbers are in the tables.`;
      note.hidden = false;
    },
  );
})();
