// Shows the page of a result in its frame, and gives the links that save it their addresses.
const text = (link) => {
  const bytes = Uint8Array.from(atob(link.dataset.content), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type: link.dataset.type });
};

// The page of an audit has no scripts, and its policy forbids them. Its frame is as high as the
// page, so that there is one scroll bar, which is the app's.
const still = (frame, page) => {
  const address = URL.createObjectURL(page);
  frame.addEventListener("load", () => {
    URL.revokeObjectURL(address);
    const { body, documentElement: root } = frame.contentDocument;
    root.style.overflowY = "hidden";
    const fit = () => { frame.style.height = `${body.scrollHeight + 2}px`; };
    new ResizeObserver(fit).observe(body);
    fit();
  });
  frame.src = address;
};

// The page of a zoo has a script, which its policy names. Its frame has an origin of its own.
const moving = async (frame, page) => {
  frame.srcdoc = await page.text();
};

let addresses = [];
const fill = () => {
  const frame = element.querySelector("iframe.page");
  if (frame && (frame.src || frame.srcdoc)) return;
  addresses.forEach((one) => URL.revokeObjectURL(one));
  addresses = [];
  if (!frame) return;
  for (const link of element.querySelectorAll("a[data-content]")) {
    const content = text(link);
    link.removeAttribute("data-content");
    addresses.push(link.href = URL.createObjectURL(content));
    if (link.matches(".page")) (frame.matches(".explore") ? moving : still)(frame, content);
  }
  element.querySelector(".whole")?.addEventListener("click", () => frame.requestFullscreen());
};
watch("value", fill);
fill();
