// The widget of a notebook: the page in a frame of its own, and the selection both ways.

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.title = "Explorer of a zoo";
  frame.style.cssText = `width: 100%; height: ${model.get("height")}px; border: 0`;
  let told = null; // what the frame said last, so that it is not told the same again

  const hear = (event) => {
    if (event.source !== frame.contentWindow || event.data?.weightspace !== "selected") return;
    if (told === null) { // it is ready
      told = "";
      tell();
      return;
    }
    told = JSON.stringify(event.data.nets);
    if (told === JSON.stringify(model.get("selected"))) return;
    model.set("selected", event.data.nets);
    model.save_changes();
  };

  const tell = () => {
    const nets = model.get("selected");
    if (told === null || JSON.stringify(nets) === told) return;
    frame.contentWindow.postMessage({ weightspace: "select", nets }, "*");
  };

  window.addEventListener("message", hear);
  model.on("change:selected", tell);
  frame.srcdoc = model.get("page");
  el.append(frame);
  return () => {
    window.removeEventListener("message", hear);
    model.off("change:selected", tell);
  };
}

export default { render };
