  // Filters, the selection, and the list of nets that fit.

  const LISTED = 40;

  class Choice {
    constructor(world, state, changed) {
      Object.assign(this, { world, state, changed });
      this.filters = [];
      const menu = at("filter");
      menu.append(make("option", { value: "", text: "choose a column" }), ...options(world));
      menu.addEventListener("change", () => {
        if (menu.value !== "") this.add(Number(menu.value));
        menu.value = "";
      });
    }

    /** Add a filter of a column, at which the focus is then. */
    add(column) {
      if (this.filters.some((filter) => filter.column === column)) return;
      const about = this.world.columns[column];
      const filter = about.kind === "numbers" ? this.range(about) : this.levels(about);
      Object.assign(filter, { column });
      filter.box.append(make("button", {
        type: "button", text: "remove", "aria-label": `Remove the filter of ${about.name}`,
        onclick: () => {
          this.filters = this.filters.filter((one) => one !== filter);
          filter.box.remove();
          at("filter").focus();
          this.update();
        },
      }));
      this.filters.push(filter);
      at("filters").append(filter.box);
      filter.box.querySelector("input")?.focus();
      this.update();
    }

    levels(about) {
      const on = new Uint8Array(about.levels.length + 1).fill(1);
      const box = make("fieldset", { class: "filter" }, make("legend", { text: about.name }));
      const counts = countsOf(about);
      const tell = [];
      about.levels.concat(counts[about.levels.length] ? ["unknown"] : []).forEach((text, level) => {
        const count = make("b");
        const input = make("input", { type: "checkbox", checked: true });
        input.addEventListener("change", () => { on[level] = input.checked ? 1 : 0; this.update(); });
        box.append(make("label", { class: "chip" }, input, make("span", {}, `${text} `, count)));
        tell.push(count);
      });
      return {
        box,
        fits: (net) => on[about.values[net] === MISSING ? about.levels.length : about.values[net]],
        tell: (among) => countsOf(about, among).forEach((count, level) => {
          if (tell[level]) tell[level].textContent = count.toLocaleString("en");
        }),
      };
    }

    range(about) {
      const [low, high] = ranged(about.values);
      const bounds = [-Infinity, Infinity];
      const count = make("b");
      const box = make("fieldset", { class: "filter" }, make("legend", { text: about.name }));
      [["from", low], ["to", high]].forEach(([word, end], side) => {
        const input = make("input", { type: "number", step: "any", placeholder: number(end) });
        input.addEventListener("input", () => {
          bounds[side] = input.value === "" ? [-Infinity, Infinity][side] : Number(input.value);
          this.update();
        });
        box.append(make("label", {}, `${word} `, input));
      });
      box.append(count);
      return {
        box,
        fits: (net) => {
          const value = about.values[net];
          const whole = bounds[0] === -Infinity && bounds[1] === Infinity;
          return whole || (value >= bounds[0] && value <= bounds[1]);
        },
        tell: (among) => { count.textContent = many(among.reduce((sum, one) => sum + one, 0), "net"); },
      };
    }

    /** Which nets fit every filter, with the counts of each level among nets that fit the others. */
    update() {
      const { state, world } = this;
      const failed = new Uint8Array(world.size);
      const last = new Int16Array(world.size).fill(-1);
      this.filters.forEach((filter, place) => {
        for (let net = 0; net < world.size; net++) {
          if (!filter.fits(net)) { failed[net] = Math.min(2, failed[net] + 1); last[net] = place; }
        }
      });
      for (let net = 0; net < world.size; net++) state.fits[net] = failed[net] ? 0 : 1;
      this.filters.forEach((filter, place) =>
        filter.tell(failed.map((count, net) => (count === 0 || (count === 1 && last[net] === place) ? 1 : 0))));
      this.refresh();
    }

    /** Change the selection: replace it by nets, add them, or remove them. */
    select(nets, how = "replace") {
      const { state } = this;
      if (how === "replace") state.selected.fill(0);
      for (const net of nets) state.selected[net] = how === "remove" ? 0 : 1;
      this.refresh();
    }

    refresh() {
      const { state, world } = this;
      state.selectedCount = state.selected.reduce((sum, one) => sum + one, 0);
      if (!state.selectedCount) { state.only = false; at("only").checked = false; }
      let fitting = 0;
      for (let net = 0; net < world.size; net++) {
        fitting += state.fits[net];
        state.shown[net] = state.fits[net] && (!state.only || state.selected[net]) ? 1 : 0;
      }
      const chosen = this.chosen();
      const fit = this.filters.length ? `${fitting.toLocaleString("en")} of ${many(world.size, "net")} fit the filters` : many(world.size, "net");
      at("counts").textContent = `${fit}, ${chosen.length.toLocaleString("en")} selected`;
      at("only").disabled = at("clear").disabled = !state.selectedCount;
      const names = chosen.map((net) => world.nets[net]).join("\n");
      at("names").hidden = !chosen.length;
      at("names").href = `data:text/plain;charset=utf-8,${encodeURIComponent(names)}`;
      this.list(chosen);
      this.changed();
    }

    /** The selected nets that fit. */
    chosen() {
      const found = [];
      this.state.selected.forEach((one, net) => { if (one && this.state.fits[net]) found.push(net); });
      return found;
    }

    list(chosen) {
      const { state, world } = this;
      const nets = chosen.length ? chosen : [...state.fits.keys()].filter((net) => state.fits[net]);
      const accuracy = world.columns.find((column) => column.name === "test accuracy");
      const shown = [world.columns[state.colour], accuracy].filter((column, i, all) =>
        column && column.kind !== "constant" && all.indexOf(column) === i);
      const head = make("tr", {}, ...["net", ...shown.map((column) => column.name)].map((text) =>
        make("th", { scope: "col", text })));
      const rows = nets.slice(0, LISTED).map((net) => make("tr", {},
        make("td", {}, make("button", { type: "button", text: world.nets[net], "data-net": net })),
        ...shown.map((column) => make("td", { text: valueOf(column, net) }))));
      at("list").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
      const more = nets.length - rows.length;
      if (more > 0) at("list").append(make("p", { class: "note", text: `and ${more.toLocaleString("en")} more` }));
    }
  }

  const GROUPS = {
    varied: "properties", outcome: "outcome and other columns", read: "read by the model", other: "other hyper-parameters and names",
  };

  /** The columns that have colours, as options in groups. */
  const options = (world) => Object.entries(GROUPS).flatMap(([group, label]) => {
    const own = world.columns.map((column, i) => [column, i])
      .filter(([column]) => column.group === group && column.values);
    const made = own.map(([column, i]) => make("option", { value: i, text: column.name }));
    return made.length ? [make("optgroup", { label }, ...made)] : [];
  });
