  // The map: which row of each net is shown, where it lies on the screen, and how it is drawn.

  const MOST_DIRECT = 300; // paths that are drawn anew in each frame

  class MapView {
    constructor(canvas, world, state) {
      Object.assign(this, { canvas, world, state });
      this.context = canvas.getContext("2d");
      this.rows = new Int32Array(world.size);
      this.view = { scale: 1, x: 0, y: 0 };
      this.sprites = [];
      this.layer = { canvas: document.createElement("canvas"), view: null, key: "" };
      this.waiting = false;
      this.lasso = null;
      new ResizeObserver(() => this.resize()).observe(canvas);
    }

    /** Choose for each net the last placed row that is not after the snapshot. */
    choose() {
      const { world, state } = this;
      const { x } = world.maps[state.which];
      for (let net = 0; net < world.size; net++) {
        let row = world.first[net + 1] - 1;
        const low = world.first[net];
        while (row >= low && (world.numbers[row] > state.when || Number.isNaN(x[row]))) row--;
        this.rows[net] = row >= low ? row : -1;
      }
      this.layer.key = "";
    }

    resize() {
      const box = this.canvas.getBoundingClientRect();
      if (!box.width || !box.height) return;
      const ratio = window.devicePixelRatio || 1;
      const before = this.width;
      Object.assign(this, { width: box.width, height: box.height, ratio });
      for (const canvas of [this.canvas, this.layer.canvas]) {
        canvas.width = Math.round(box.width * ratio);
        canvas.height = Math.round(box.height * ratio);
      }
      this.sprites = [];
      this.layer.key = "";
      if (before) this.draw(); else this.fit();
    }

    /** Show all rows of the map. */
    fit() {
      const { x, y } = this.world.maps[this.state.which];
      const [left, right] = ranged(x);
      const [low, high] = ranged(y);
      const room = 18;
      const wide = Math.max(right - left, 1e-9);
      const tall = Math.max(high - low, 1e-9);
      const scale = Math.min((this.width - 2 * room) / wide, (this.height - 2 * room) / tall);
      this.view = {
        scale,
        x: this.width / 2 - (scale * (left + right)) / 2,
        y: this.height / 2 + (scale * (low + high)) / 2,
      };
      this.least = scale / 4;
      this.draw();
    }

    /** Where a row lies, in pixels of the page from the corner of the canvas. */
    at(row) {
      const { x, y } = this.world.maps[this.state.which];
      return [x[row] * this.view.scale + this.view.x, this.view.y - y[row] * this.view.scale];
    }

    move(dx, dy) {
      this.view.x += dx;
      this.view.y += dy;
      this.draw();
    }

    zoom(factor, x = this.width / 2, y = this.height / 2) {
      const scale = Math.min(Math.max(this.view.scale * factor, this.least), this.least * 4e4);
      const change = scale / this.view.scale;
      this.view = { scale, x: x - (x - this.view.x) * change, y: y - (y - this.view.y) * change };
      this.draw();
    }

    /** The net within `reach` pixels of a point that is nearest to it; -1 if there is none. */
    nearest(x, y, reach = 14) {
      let best = -1;
      let least = reach * reach;
      for (let net = 0; net < this.world.size; net++) {
        if (this.rows[net] < 0 || !this.state.shown[net]) continue;
        const [left, top] = this.at(this.rows[net]);
        const far = (left - x) ** 2 + (top - y) ** 2;
        if (far < least) { least = far; best = net; }
      }
      return best;
    }

    /** The next net from one in a direction (dx, dy), or the one nearest to the middle. */
    next(net, dx, dy) {
      if (net < 0 || this.rows[net] < 0) return this.nearest(this.width / 2, this.height / 2, Infinity);
      const [x, y] = this.at(this.rows[net]);
      let best = net;
      let least = Infinity;
      for (let other = 0; other < this.world.size; other++) {
        if (other === net || this.rows[other] < 0 || !this.state.shown[other]) continue;
        const [left, top] = this.at(this.rows[other]);
        const ahead = (left - x) * dx + (top - y) * dy;
        const aside = Math.abs((left - x) * dy) + Math.abs((top - y) * dx);
        const far = ahead + 2 * aside;
        if (ahead > 0 && aside <= 2 * ahead && far < least) { least = far; best = other; }
      }
      return best;
    }

    /** The shown nets inside a polygon of pixels [[x, y], ...], by the even-odd rule. */
    inside(polygon) {
      const found = [];
      for (let net = 0; net < this.world.size; net++) {
        if (this.rows[net] < 0 || !this.state.shown[net]) continue;
        const [x, y] = this.at(this.rows[net]);
        let within = false;
        for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
          const [[ax, ay], [bx, by]] = [polygon[i], polygon[j]];
          if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
        }
        if (within) found.push(net);
      }
      return found;
    }

    draw() {
      if (this.waiting || !this.width) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.paint();
      });
    }

    paint() {
      const { context, state } = this;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.paintPaths();
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      this.paintDots();
      if (state.current >= 0) this.paintPath(context, state.current, variable("--ink"), 1.6);
      for (const net of new Set([state.hover, state.current])) this.ring(net, net === state.current);
      if (this.lasso?.length > 1) this.paintLasso();
    }

    paintDots() {
      const { context, state, world, rows } = this;
      const { x: across, y: up } = world.maps[state.which];
      const { scale, x: left, y: top } = this.view;
      const radius = world.size > 1500 ? 2.6 : world.size > 400 ? 3.2 : 4;
      if (!this.sprites.length) this.sprites = state.paint.colours.map((colour) => this.sprite(colour, radius));
      const half = radius + 1;
      const chosen = state.selectedCount > 0;
      for (const pass of chosen ? [0, 1] : [1]) {
        context.globalAlpha = pass ? 0.9 : 0.25;
        for (let net = 0; net < world.size; net++) {
          const row = rows[net];
          if (row < 0 || !state.shown[net] || (chosen && state.selected[net] !== pass)) continue;
          const x = across[row] * scale + left;
          const y = top - up[row] * scale;
          if (x < -half || y < -half || x > this.width + half || y > this.height + half) continue;
          context.drawImage(this.sprites[state.paint.nets[net]], x - half, y - half, 2 * half, 2 * half);
        }
      }
      context.globalAlpha = 1;
    }

    sprite(colour, radius) {
      const size = Math.ceil(2 * (radius + 1) * this.ratio);
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = size;
      const context = canvas.getContext("2d");
      context.fillStyle = colour;
      context.beginPath();
      context.arc(size / 2, size / 2, radius * this.ratio, 0, 2 * Math.PI);
      context.fill();
      return canvas;
    }

    paintPaths() {
      const { state, world } = this;
      const { scale, x, y } = this.view;
      if (!state.paths) return;
      const nets = [];
      for (let net = 0; net < world.size; net++) {
        if (state.shown[net] && (state.selected[net] || !state.selectedCount)) nets.push(net);
      }
      if (nets.length <= MOST_DIRECT) return this.strokePaths(this.context, nets);
      const { layer } = this;
      if (layer.key !== state.version) {
        this.renderLayer(nets);
      } else if (layer.view.scale !== scale || layer.view.x !== x || layer.view.y !== y) {
        clearTimeout(this.later); // the old picture is moved while the map moves
        this.later = setTimeout(() => { layer.key = ""; this.draw(); }, 150);
      }
      const change = scale / layer.view.scale;
      this.context.setTransform(change, 0, 0, change,
        this.ratio * (x - change * layer.view.x), this.ratio * (y - change * layer.view.y));
      this.context.drawImage(layer.canvas, 0, 0);
    }

    renderLayer(nets) {
      const { layer } = this;
      const context = layer.canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, layer.canvas.width, layer.canvas.height);
      this.strokePaths(context, nets);
      Object.assign(layer, { key: this.state.version, view: { ...this.view } });
    }

    strokePaths(context, nets) {
      const { paint } = this.state;
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      const by = new Map();
      for (const net of nets) {
        const colour = paint.nets[net];
        if (!by.has(colour)) by.set(colour, []);
        by.get(colour).push(net);
      }
      context.globalAlpha = nets.length > 200 ? 0.25 : 0.5;
      for (const [colour, own] of by) {
        for (const net of own) this.paintPath(context, net, paint.colours[colour], 1);
      }
      context.globalAlpha = 1;
    }

    paintPath(context, net, colour, width) {
      const { x } = this.world.maps[this.state.which];
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      let begun = false;
      for (let row = this.world.first[net]; row < this.world.first[net + 1]; row++) {
        if (Number.isNaN(x[row])) continue;
        const [left, top] = this.at(row);
        if (begun) context.lineTo(left, top); else context.moveTo(left, top);
        begun = true;
      }
      context.stroke();
    }

    ring(net, strong) {
      if (net < 0 || this.rows[net] < 0) return;
      const [x, y] = this.at(this.rows[net]);
      this.context.strokeStyle = variable("--ink");
      this.context.lineWidth = strong ? 2.5 : 1.5;
      this.context.beginPath();
      this.context.arc(x, y, strong ? 8 : 7, 0, 2 * Math.PI);
      this.context.stroke();
    }

    paintLasso() {
      const { context } = this;
      context.beginPath();
      for (const [x, y] of this.lasso) context.lineTo(x, y);
      context.closePath();
      context.fillStyle = variable("--blue");
      context.globalAlpha = 0.12;
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = variable("--blue");
      context.lineWidth = 1.5;
      context.stroke();
    }
  }
