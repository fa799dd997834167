  // Line charts as SVG, and weights as images.

  const SVG = "http://www.w3.org/2000/svg";

  const draw = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /** Round numbers from low to high. */
  const ticks = (low, high, most = 4) => {
    const rough = (high - low) / most || 1;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * unit).find((one) => one >= rough);
    const found = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) {
      found.push(Math.abs(tick) < step * 1e-6 ? 0 : tick);
    }
    return found;
  };

  /** A chart of series {name, values} over x; its legend names them, with their last value. */
  const lineChart = ({ title, x, xName, series, share = false }) => {
    const [wide, tall, left, foot, top] = [360, 190, 46, 34, 8];
    const [first, last] = ranged(x);
    let [low, high] = ranged(series.flatMap((one) => [...one.values]));
    if (share) { low = 0; high = Math.max(1, high); }
    if (low === high) { low -= 0.5; high += 0.5; }
    const across = (value) => left + ((value - first) / (last - first || 1)) * (wide - left - 8);
    const up = (value) => tall - foot - ((value - low) / (high - low)) * (tall - foot - top);
    const svg = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", class: "lines" });
    svg.append(draw("title", {}, title));
    for (const tick of ticks(low, high)) {
      svg.append(draw("path", { d: `M${left} ${up(tick)}H${wide - 8}`, class: "rule" }));
      const text = share ? `${Math.round(100 * tick)} %` : number(tick);
      svg.append(draw("text", { x: left - 6, y: up(tick) + 4, "text-anchor": "end" }, text));
    }
    for (const tick of ticks(first, last, 5)) {
      svg.append(draw("text", { x: across(tick), y: tall - foot + 16, "text-anchor": "middle" }, number(tick)));
    }
    svg.append(draw("text", { x: (left + wide) / 2, y: tall - 3, "text-anchor": "middle" }, xName));
    const key = make("ul", { class: "key" });
    series.forEach((one, place) => {
      const colour = `var(--series-${(place % 8) + 1})`;
      let path = "";
      one.values.forEach((value, i) => {
        if (!Number.isFinite(value)) return;
        const gap = !path || !Number.isFinite(one.values[i - 1]);
        path += `${gap ? "M" : "L"}${across(x[i]).toFixed(1)} ${up(value).toFixed(1)}`;
        if (one.values.length < 2) svg.append(draw("circle", { cx: across(x[i]), cy: up(value), r: 3, fill: colour }));
      });
      const dash = place >= 8 ? "5 3" : "none";
      svg.append(draw("path", { d: path || "M0 0", class: "line", stroke: colour, "stroke-dasharray": dash }));
      const dot = make("i", { class: "dot" });
      dot.style.background = colour;
      const end = one.values.at(-1);
      const text = share && Number.isFinite(end) ? `${(100 * end).toFixed(1)} %` : number(end);
      key.append(make("li", {}, dot, `${one.name} `, make("b", { text })));
    });
    return make("figure", { class: "chart" }, make("figcaption", { text: title }), svg, key);
  };

  const COLD = [47, 110, 163];
  const WARM = [196, 98, 45];

  /** Weights of one image as RGBA: three channels as red, green, blue; one as blue to orange. */
  const pixels = (values, start, most, [channels, tall, wide], channel) => {
    const data = new Uint8ClampedArray(4 * tall * wide);
    const area = tall * wide;
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) {
        if (channels === 3) {
          data[4 * i + c] = 127.5 * (1 + values[start + c * area + i] / most);
        } else {
          const value = values[start + channel * area + i] / most;
          const end = value < 0 ? COLD : WARM;
          data[4 * i + c] = 255 + Math.abs(value) * (end[c] - 255);
        }
      }
      data[4 * i + 3] = 255;
    }
    return new ImageData(data, wide, tall);
  };

  /** The images of a first layer as one canvas each, on a common scale. */
  const images = (values, most, [count, channels, tall, wide]) => {
    const box = make("div", { class: "images" });
    const each = channels * tall * wide;
    const pictures = channels === 3 ? 1 : channels;
    const zoom = Math.max(1, Math.ceil(60 / Math.max(tall, wide)));
    for (let unit = 0; unit < count; unit++) {
      for (let channel = 0; channel < pictures; channel++) {
        const canvas = make("canvas", {
          width: wide, height: tall, role: "img",
          "aria-label": `unit ${unit + 1}${pictures > 1 ? `, input ${channel + 1}` : ""}`,
        });
        canvas.style.width = `${wide * zoom}px`;
        canvas.getContext("2d").putImageData(
          pixels(values, unit * each, most, [channels, tall, wide], channel), 0, 0);
        box.append(canvas);
      }
    }
    return box;
  };
