  // The details of one net.

  const rowsOf = (pairs, missing = "unknown") => make("dl", {}, ...pairs.flatMap(([name, text]) =>
    [make("dt", { text: name }), make("dd", { text: text === "" ? missing : text })]));

  const part = (title, ...children) => make("section", { class: "part" }, make("h3", { text: title }), ...children);

  const recipe = (world, net, own) => {
    const texts = (column) => (column.kind === "text" ? own.texts[column.name] ?? "" : valueOf(column, net));
    const pairs = (test) => world.columns.filter(test).map((column) => [column.name, texts(column)]);
    const varied = pairs((column) => column.group === "varied");
    const outcome = pairs((column) => column.group === "outcome" && column.levels[0] !== "");
    const other = pairs((column) => column.group === "other");
    return part("Recipe", rowsOf(varied),
      make("details", {}, make("summary", { text: "What does not vary, and names" }), rowsOf(other)),
      make("h3", { text: "Outcome and other columns" }), rowsOf(outcome, "–"));
  };

  const timesOf = (world, net, own) => {
    const numbers = world.numbers.slice(world.first[net], world.first[net + 1]);
    if (own.arrays.epoch) return { x: own.arrays.epoch, xName: "epochs" };
    if (own.arrays.step) return { x: own.arrays.step, xName: "steps" };
    return { x: Float64Array.from(numbers), xName: "snapshot" };
  };

  const curves = (world, own, times) => {
    const known = world.metrics.map((name, i) => ({ name, values: own.series[i] }))
      .filter((one) => one.values.some(Number.isFinite));
    const charts = ["loss", "accuracy"].map((what) => {
      const series = known.filter((one) => one.name.endsWith(`_${what}`))
        .map((one) => ({ ...one, name: one.name.slice(0, -what.length - 1) }));
      const title = what === "loss" ? "Loss" : "Accuracy";
      return series.length ? lineChart({ title, ...times, series, share: what === "accuracy" }) : null;
    });
    const others = known.filter((one) => !/_(loss|accuracy)$/.test(one.name))
      .map((one) => lineChart({ title: one.name, ...times, series: [one] }));
    const made = [...charts.filter(Boolean), ...others];
    const note = make("p", { class: "note", text: "No losses or accuracies are on record." });
    return part("Training", made.length ? make("div", { class: "charts" }, ...made) : note);
  };

  const kernels = (world, net, own, times) => {
    const about = own.kernels;
    if (!about) {
      const why = "The first layer is not shown: it is no convolution, and nothing says that its input is an image.";
      return part("First layer", make("p", { class: "note", text: why }));
    }
    const { kernels: codes, scales } = own.arrays;
    const each = codes.length / about.at.length;
    const most = 127 * Math.max(...scales);
    const what = about.kind === "rows" ? "rows of the first dense layer" : "kernels of the first layer";
    const some = about.size[0] < about.of ? `${about.size[0]} of ${about.of} ` : `${about.of} `;
    const box = make("div");
    const text = make("output");
    const show = (place) => {
      const values = Float32Array.from(codes.subarray(place * each, (place + 1) * each), (code) => code * scales[place]);
      box.replaceChildren(images(values, most, about.size));
      text.textContent = `snapshot ${world.numbers[world.first[net] + about.at[place]]}, ${times.xName} ${number(times.x[about.at[place]])}`;
    };
    const last = about.at.length - 1;
    const slider = make("input", { type: "range", min: 0, max: last, value: last, step: 1 });
    slider.addEventListener("input", () => show(Number(slider.value)));
    show(last);
    const range = about.size[1] === 3
      ? `Input channels are red, green and blue; grey is 0, and full colour is a weight of ${number(most)}.`
      : `Blue is −${number(most)}, white is 0, orange is ${number(most)}.`;
    return part("First layer",
      make("p", { class: "note", text: `${some}${what} (${about.tensor}). ${range}` }),
      make("p", {}, last ? make("label", { class: "slide" }, "Snapshot ", slider) : "", text), box);
  };

  const STATISTICS = {
    mean: (mean) => mean,
    "standard deviation": (mean, spread) => spread,
    norm: (mean, spread, size) => Math.sqrt(size * (mean * mean + spread * spread)),
  };

  const layersOf = (world, own, times) => {
    const tensors = world.layouts[own.layout];
    const roles = [...new Set(tensors.map(([, role]) => role))];
    const role = make("select", {}, ...roles.map((name) => make("option", { value: name, text: name.replace("_", " ") })));
    const box = make("div", { class: "charts" });
    const show = () => {
      const chosen = tensors.map((tensor, i) => [tensor, i]).filter(([tensor]) => tensor[1] === role.value);
      box.replaceChildren(...Object.entries(STATISTICS).map(([name, of]) => lineChart({
        title: name[0].toUpperCase() + name.slice(1),
        ...times,
        series: chosen.map(([[tensor, , , size], i]) => {
          const [mean, spread] = [0, 1].map((side) => own.series[world.metrics.length + 2 * i + side]);
          return { name: tensor, values: mean.map((value, k) => of(value, spread[k], size)) };
        }),
      })));
    };
    role.addEventListener("change", show);
    show();
    return part("Layers over training", make("label", {}, "Tensors ", role), box);
  };

  const percent = (share) => `${Math.round(100 * share)} %`;

  const readings = (world, net, own) => {
    if (!world.model) return "";
    const { answer, truth } = own;
    const { space, same, nets, properties } = world.model;
    const trained = `The model was trained on ${many(nets, "net")} of the space ${space}. `;
    const caution = same
      ? "If this net was among them, its readings are better than those of other nets; the last column says how often other nets are read right."
      : "The last column says how often other nets of that space are read right.";
    const children = [make("p", { class: "note", text: trained + caution })];
    for (const reason of answer?.reasons ?? ["There is no snapshot."]) {
      children.push(make("p", { class: "trouble", text: `Nothing is read: ${reason}` }));
    }
    const head = ["property", "read", "probability", "truth", "", "right for other nets"];
    const rows = (answer?.readings ?? []).map((one) => {
      const column = world.columns.find((other) => other.name === one.property.replaceAll("_", " "));
      const known = truth[one.property];
      const value = column ? valueOf(column, net) : "";
      const told = known && known !== value ? `${value} (${known})` : value;
      const word = !one.level ? "" : !known ? "not compared" : one.level === known ? "✓ right" : "✗ wrong";
      const [accuracy, low, high] = properties[one.property];
      const level = one.level ? `${one.level}${one.conditional ? " ?" : ""}` : "no level named";
      return make("tr", {},
        make("th", { scope: "row", text: one.property.replaceAll("_", " ") }),
        make("td", { text: level, title: one.reason }),
        make("td", { text: one.level && one.probability !== null ? percent(one.probability) : "–" }),
        make("td", { text: told || "unknown" }),
        make("td", { text: word }),
        make("td", { text: `${percent(accuracy)} (${Math.round(100 * low)}–${percent(high)})` }));
    });
    if (rows.length) {
      const heads = make("tr", {}, ...head.map((text) => make("th", { scope: "col", text })));
      children.push(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Readings" },
        make("table", {}, make("thead", {}, heads), make("tbody", {}, ...rows))));
      children.push(make("p", { class: "note", text: "With ?, only if the net is of one of the levels that the model knows." }));
    }
    return part("What the model reads", ...children);
  };

  /** Show the details of a net below the map. */
  const showNet = async (world, net, close) => {
    const own = await detailsOf(world, net);
    const times = timesOf(world, net, own);
    const title = make("h2", { id: "net-title", tabindex: -1, text: `Net ${world.nets[net]}` });
    const leave = make("button", { type: "button", text: "close", onclick: close });
    const parts = times.x.length
      ? [curves(world, own, times), kernels(world, net, own, times), layersOf(world, own, times)]
      : [part("Training", make("p", { class: "note", text: "The zoo holds no snapshot of this net." }))];
    at("net").replaceChildren(make("div", { class: "head" }, title, leave),
      make("div", { class: "columns" }, recipe(world, net, own), make("div", {}, ...parts, readings(world, net, own))));
    at("net").hidden = false;
  };
