  // The page: what was unpacked, what is chosen, and how the parts hear of each other.

  const start = async () => {
    const world = worldOf(await unpack("main"));
    const state = {
      colour: 0, which: "plane", when: Math.max(...world.numbers, 1), paths: false, only: false,
      hover: -1, current: -1, version: 0, selectedCount: 0,
      selected: new Uint8Array(world.size), fits: new Uint8Array(world.size).fill(1),
      shown: new Uint8Array(world.size).fill(1),
    };
    const map = new MapView(at("map"), world, state);

    const redraw = () => { state.version++; map.draw(); };

    const repaint = () => {
      const column = world.columns[state.colour];
      state.paint = paintOf(column);
      map.sprites = [];
      tell();
    };

    const tell = () => {
      const column = world.columns[state.colour];
      legend(column, state.paint, column.kind === "levels" ? countsOf(column, state.shown) : null);
      redraw();
      window.parent !== window && window.parent.postMessage(
        { weightspace: "selected", nets: choice.chosen().map((net) => world.nets[net]) }, "*");
    };

    const choice = new Choice(world, state, () => state.paint && tell());

    const hover = (net, place, aloud = false) => {
      if (net === state.hover && !aloud) return;
      state.hover = net;
      const tip = at("tip");
      tip.hidden = net < 0;
      if (net >= 0) {
        const column = world.columns[state.colour];
        const text = `${world.nets[net]} · ${column.name}: ${valueOf(column, net) || "unknown"}`;
        tip.textContent = text;
        const [x, y] = place ?? map.at(map.rows[net]);
        tip.style.left = `${Math.min(Math.max(4, x + 12), Math.max(4, map.width - tip.offsetWidth - 4))}px`;
        tip.style.top = `${y + 14 + tip.offsetHeight > map.height ? y - tip.offsetHeight - 10 : y + 14}px`;
        if (aloud) at("status").textContent = text;
      }
      map.draw();
    };

    const show = async (net) => {
      state.current = net;
      map.draw();
      await showNet(world, net, () => {
        state.current = -1;
        at("net").hidden = true;
        map.draw();
        at("map").focus();
      });
      at("net-title").focus({ preventScroll: true });
      at("net").scrollIntoView({ behavior: "auto", block: "nearest" });
    };

    const when = () => {
      const last = state.when === Number(at("when").max);
      at("when-text").textContent = `${state.when} of ${at("when").max}${last ? ", the last" : ""}`;
      map.choose();
      const unplaced = map.rows.reduce((sum, row) => sum + (row < 0), 0);
      at("status").textContent = unplaced ? `${many(unplaced, "net")} without a place on this map at this snapshot` : "";
      redraw();
    };

    const colours = at("colour");
    colours.append(...options(world));
    state.colour = Number(colours.querySelector("option")?.value ?? 0);
    colours.addEventListener("change", () => {
      state.colour = Number(colours.value);
      repaint();
      choice.list(choice.chosen());
    });
    at("which").addEventListener("change", (event) => { state.which = event.target.value; when(); map.fit(); });
    at("when").max = state.when;
    at("when").value = state.when;
    at("when").addEventListener("input", (event) => { state.when = Number(event.target.value); when(); });
    at("paths").addEventListener("change", (event) => { state.paths = event.target.checked; redraw(); });
    at("only").addEventListener("change", (event) => { state.only = event.target.checked; choice.refresh(); });
    at("fit").addEventListener("click", () => map.fit());
    at("clear").addEventListener("click", () => choice.select([]));
    at("take").addEventListener("click", () => choice.select([...state.fits.keys()].filter((net) => state.fits[net])));
    at("list").addEventListener("click", (event) => {
      const net = event.target.dataset?.net;
      if (net !== undefined) show(Number(net));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    window.addEventListener("message", (event) => {
      if (event.source !== window.parent || event.data?.weightspace !== "select") return;
      const places = new Map(world.nets.map((name, net) => [name, net]));
      choice.select(event.data.nets.map((name) => places.get(name)).filter((net) => net !== undefined));
    });

    point(map, { show, hover, select: (nets, how) => choice.select(nets, how) });
    when();
    repaint();
    choice.refresh();
    map.resize();
    window.weightspaceExplorer = { world, state, map, choice, show };
    document.documentElement.dataset.state = "ready";
  };

  start().catch((error) => {
    document.documentElement.dataset.state = "failed";
    at("trouble").textContent = `The page could not be shown (${error.message}).`;
    at("trouble").hidden = false;
  });
