// Shows the page of a result in its frame. The page has no scripts, and its policy forbids them.
// The frame is as high as the page in it, so that there is one scroll bar.
const fill = () => {
  const frame = element.querySelector("iframe.page");
  const link = element.querySelector("a.page");
  if (!frame || frame.src) return;
  const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (c) => c.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "text/html;charset=utf-8" }));
  frame.addEventListener("load", () => {
    URL.revokeObjectURL(address);
    const body = frame.contentDocument.body;
    const fit = () => { frame.style.height = `${body.scrollHeight + 2}px`; };
    new ResizeObserver(fit).observe(body);
    fit();
  });
  frame.src = address;
};
watch("value", fill);
fill();
