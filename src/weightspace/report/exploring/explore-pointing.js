  // Mouse, touch and keyboard on the map.

  const STEP = 60; // pixels that Shift with an arrow key moves the map
  const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  const point = (map, { show, select, hover }) => {
    const { canvas, state } = map;
    const fingers = new Map();
    let travelled = 0;

    const placeOf = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };

    const toolOf = () => document.querySelector("input[name=tool]:checked").value;

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      try { canvas.setPointerCapture(event.pointerId); } catch { /* made by a script */ }
      fingers.set(event.pointerId, placeOf(event));
      if (fingers.size === 1) travelled = 0;
      map.lasso = fingers.size === 1 && toolOf() === "lasso" ? [placeOf(event)] : null;
    });

    canvas.addEventListener("pointermove", (event) => {
      const now = placeOf(event);
      const before = fingers.get(event.pointerId);
      if (!before) { hover(map.nearest(...now), now); return; }
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      travelled += Math.hypot(dx, dy);
      fingers.set(event.pointerId, now);
      if (fingers.size === 2) {
        const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        const spread = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
        map.zoom(spread(now) / Math.max(1, spread(before)), ...other);
      } else if (map.lasso) {
        map.lasso.push(now);
        map.draw();
      } else if (travelled > 3) {
        hover(-1);
        map.move(dx, dy);
      }
    });

    const up = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      const polygon = map.lasso;
      map.lasso = null;
      if (event.type === "pointercancel") { map.draw(); return; }
      if (travelled <= 3) {
        const net = map.nearest(...placeOf(event));
        if (net >= 0) show(net);
      } else if (polygon) {
        select(map.inside(polygon), event.shiftKey ? "add" : event.altKey ? "remove" : "replace");
      }
      map.draw();
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => hover(-1));

    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      map.zoom(Math.exp(-event.deltaY * lines * 0.0015), ...placeOf(event));
    }, { passive: false });

    const keys = {
      Enter: () => state.hover >= 0 && show(state.hover),
      " ": () => state.hover >= 0 && show(state.hover),
      s: () => state.hover >= 0
        && select([state.hover], state.selected[state.hover] ? "remove" : "add"),
      l: () => {
        const other = toolOf() === "lasso" ? "pan" : "lasso";
        document.querySelector(`input[name=tool][value=${other}]`).checked = true;
      },
      "+": () => map.zoom(1.3),
      "=": () => map.zoom(1.3),
      "-": () => map.zoom(1 / 1.3),
      0: () => map.fit(),
      Escape: () => {
        if (map.lasso) { map.lasso = null; map.draw(); } else select([], "replace");
      },
    };

    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const way = DIRECTIONS[event.key];
      const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!way && !act) return;
      event.preventDefault();
      if (!way) act();
      else if (event.shiftKey) map.move(-way[0] * STEP, -way[1] * STEP);
      else {
        const net = map.next(state.hover >= 0 ? state.hover : state.current, ...way);
        if (net >= 0) hover(net, map.at(map.rows[net]), true);
      }
    });
  };
