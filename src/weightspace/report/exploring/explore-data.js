  // What lies in the page: packs of arrays in gzip and base 64, see packing.py.

  const MISSING = 65535;
  const KINDS = {
    int8: Int8Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
    float32: Float32Array, float64: Float64Array,
  };

  const bytesOf = (text) => {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  };

  const unpack = async (id) => {
    const packed = new Blob([bytesOf(document.getElementById(id).textContent)]);
    const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const arrays = {};
    for (const [name, [kind, offset, count]] of Object.entries(header.arrays)) {
      arrays[name] = new KINDS[kind](buffer, 4 + length + offset, count);
    }
    return { header, arrays };
  };

  /** Numbers from codes between `low` and `high`; NaN where a number is missing. */
  const decoded = (codes, low, high) => {
    const step = (high - low) / (MISSING - 1);
    return Float64Array.from(codes, (code) => (code === MISSING ? NaN : low + code * step));
  };

  const worldOf = ({ header, arrays }) => {
    const columns = header.columns.map((column, i) => ({ ...column, values: arrays[`column.${i}`] }));
    const maps = {};
    for (const name of Object.keys(header.maps)) {
      const [[left, right], [low, high]] = header.maps[name];
      maps[name] = {
        x: decoded(arrays[`${name}.x`], left, right),
        y: decoded(arrays[`${name}.y`], low, high),
      };
    }
    return { ...header, columns, maps, first: arrays.first, numbers: arrays.numbers, size: header.nets.length };
  };

  const kept = new Map(); // the blocks that were unpacked last

  const blockOf = (number) => {
    if (!kept.has(number)) {
      if (kept.size > 32) kept.delete(kept.keys().next().value);
      kept.set(number, unpack(`block-${number}`));
    }
    return kept.get(number);
  };

  /** The details of a net: the entry of its header, and its own arrays. */
  const detailsOf = async (world, net) => {
    const { header, arrays } = await blockOf(Math.floor(net / world.block));
    const place = net % world.block;
    const own = {};
    for (const name of Object.keys(arrays)) {
      if (name.startsWith(`${place}.`)) own[name.slice(`${place}.`.length)] = arrays[name];
    }
    const count = own.codes.length / Math.max(1, own.low.length);
    const series = Array.from(own.low, (low, i) =>
      decoded(own.codes.subarray(i * count, (i + 1) * count), low, own.high[i]));
    return { ...header.nets[place], arrays: own, series };
  };

  // ---- elements and text

  const at = (id) => document.getElementById(id);

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") element.textContent = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  const number = (value) => {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };

  const many = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

  /** A value of a column as text. */
  const valueOf = (column, net) => {
    if (column.kind === "constant") return column.levels[0];
    if (column.kind === "text") return "";
    const value = column.values[net];
    if (column.kind === "numbers") return Number.isNaN(value) ? "" : String(Number(value.toPrecision(6)));
    return value === MISSING ? "" : column.levels[value];
  };
