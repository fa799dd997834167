  // The colours of nets by a column, and their legend.

  // On dark ground the scale begins where it can be seen.
  const SCALES = {
    light: ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70",
      "#7ad151", "#bddf26", "#fde725"],
    dark: ["#8a63c9", "#7a70cf", "#6a80cf", "#5a90ca", "#4a9fc0", "#3fadb2", "#41bb9f", "#63c985",
      "#93d567", "#c6de4a", "#fde725"],
  };
  const STEPS = 41;

  const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  const scaleNow = () => SCALES[matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"];

  const along = (share) => {
    const scale = scaleNow();
    const place = Math.min(1, Math.max(0, share)) * (scale.length - 1);
    const low = Math.min(scale.length - 2, Math.floor(place));
    const [first, second] = [channels(scale[low]), channels(scale[low + 1])];
    return `rgb(${first.map((c, i) => Math.round(c + (place - low) * (second[i] - c))).join(" ")})`;
  };

  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const countsOf = (column, among) => {
    const counts = new Int32Array(column.levels.length + 1);
    for (let i = 0; i < column.values.length; i++) {
      if (among && !among[i]) continue;
      counts[column.values[i] === MISSING ? column.levels.length : column.values[i]]++;
    }
    return counts;
  };

  const ranged = (values) => {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
    }
    return low <= high ? [low, high] : [0, 1];
  };

  /** Colours, the colour of each net as an index of them, and what the legend shows. */
  const paintOf = (column) => (column.kind === "numbers" ? numbersPaint(column) : levelsPaint(column));

  const levelsPaint = (column) => {
    const counts = countsOf(column);
    const order = [...column.levels.keys()].sort((a, b) => counts[b] - counts[a]);
    const single = new Set(order.slice(0, column.levels.length > 8 ? 7 : 8));
    const colours = [variable("--band")];
    const of = new Uint8Array(column.levels.length + 1);
    const entries = [];
    for (let level = 0; level < column.levels.length; level++) {
      if (!single.has(level)) continue;
      of[level] = colours.push(variable(`--series-${entries.length + 1}`)) - 1;
      entries.push({ text: column.levels[level], levels: [level], colour: of[level], count: counts[level] });
    }
    const rest = order.filter((level) => !single.has(level));
    if (rest.length) {
      const colour = colours.push(variable("--series-8")) - 1;
      for (const level of rest) of[level] = colour;
      const count = rest.reduce((sum, level) => sum + counts[level], 0);
      entries.push({ text: `${rest.length} other levels`, levels: rest, colour, count });
    }
    const missing = counts[column.levels.length];
    if (missing) entries.push({ text: "unknown", levels: [MISSING], colour: 0, count: missing });
    const nets = Uint8Array.from(column.values, (value) => (value === MISSING ? 0 : of[value]));
    return { colours, nets, entries };
  };

  const numbersPaint = (column) => {
    const [low, high] = ranged(column.values);
    const log = low > 0 && high / low > 30;
    const share = log
      ? (value) => Math.log(value / low) / Math.log(high / low)
      : (value) => (high > low ? (value - low) / (high - low) : 0.5);
    const colours = [variable("--band")];
    for (let i = 0; i < STEPS; i++) colours.push(along(i / (STEPS - 1)));
    const nets = Uint8Array.from(column.values, (value) =>
      (Number.isFinite(value) ? 1 + Math.round(share(value) * (STEPS - 1)) : 0));
    const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
    const missing = nets.reduce((sum, colour) => sum + (colour === 0), 0);
    return { colours, nets, scale: { low, middle, high, log, missing } };
  };

  const legend = (column, paint, counts) => {
    const box = at("legend");
    box.replaceChildren(make("p", { class: "note", text: column.name + (paint.scale?.log ? " (logarithmic)" : "") }));
    if (column.group === "read") {
      const text = "Readings are better for nets that the model was trained on than for others.";
      box.append(make("p", { class: "note", text }));
    }
    if (paint.scale) {
      const { low, middle, high, missing } = paint.scale;
      const bar = make("div", { class: "bar" }, make("i", { class: "scale" }),
        ...[low, middle, high].map((value) => make("span", { text: number(value) })));
      box.append(bar);
      if (missing) box.append(make("p", { class: "note", text: `${many(missing, "net")} without a value` }));
      return;
    }
    const list = make("ul", { class: "key" });
    for (const entry of paint.entries) {
      const shown = entry.levels.reduce((sum, level) =>
        sum + counts[level === MISSING ? column.levels.length : level], 0);
      const dot = make("i", { class: "dot" });
      dot.style.background = paint.colours[entry.colour];
      list.append(make("li", {}, dot, `${entry.text} `, make("b", { text: shown.toLocaleString("en") })));
    }
    box.append(list);
  };
