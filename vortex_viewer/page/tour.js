// Five steps for who is here for the first time; the browser remembers that they were shown.
const TOUR = [
  [".slot.genes", "Choose a gene", "Type a name, or go down the list with the arrow keys. The number is how well the gene was predicted where it was held out: 1 is perfect, 0 is no better than guessing."],
  [".slot.view", "Turn the block", "Drag to turn it, hold Shift to move it, use the wheel to come nearer. Expression is drawn into the tissue, so you see both at once."],
  [".slices", "Go through it in slices", "Click or drag in a slice: the crosshair moves in all of them, and the numbers below are read there."],
  [".slot.legend", "Set the colours", "Drag the ends of the range, drag the points to change opacity, or choose a preset. The bars show how often each value occurs."],
  [".tools", "Look closer", "Crop, cut the block open at a measured section, compare measured with predicted, or fine-tune. Press ? for all keys."],
];
function tour() {
  const KEY = "vortex-viewer tour";
  const title = make("b"), text = make("p"), where = make("span", { class: "faint" });
  const next = make("button", { type: "button", class: "button primary" }, "Next"), skip = make("button", { type: "button", class: "tab" }, "Skip");
  const card = make("div", { class: "tour", role: "dialog", "aria-label": "A short tour" }, title, text, make("div", { class: "tourline" }, where, skip, next));
  const ring = make("div", { class: "tourring", "aria-hidden": "true" });
  const root = make("div", { hidden: true }, ring, card);
  let at = 0;
  function end() { root.hidden = true; try { localStorage.setItem(KEY, "seen"); } catch { /* shown again next time */ } hook({ tour: null }); }
  function show() {
    const [target, head, words] = TOUR[at], box = document.querySelector(target)?.getBoundingClientRect();
    title.textContent = head; text.textContent = words; where.textContent = `${at + 1} of ${TOUR.length}`;
    next.textContent = at === TOUR.length - 1 ? "Done" : "Next";
    if (box) {
      Object.assign(ring.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.width}px`, height: `${box.height}px` });
      const wide = 300, x = box.left > innerWidth / 2 ? box.left - wide - 12 : box.right + wide + 24 < innerWidth ? box.right + 12 : box.left + (box.width - wide) / 2;
      card.style.left = `${Math.max(12, x)}px`; card.style.top = `${Math.max(64, Math.min(innerHeight - 200, box.top + 16))}px`;
    }
    hook({ tour: at + 1 });
  }
  next.addEventListener("click", () => { at += 1; if (at >= TOUR.length) end(); else show(); });
  skip.addEventListener("click", end);
  addEventListener("resize", () => { if (!root.hidden) show(); });
  card.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); end(); } });
  let seen = null; try { seen = localStorage.getItem(KEY); } catch { /* as above */ }
  return { root, begin() { at = 0; root.hidden = false; show(); next.focus(); }, greet() { if (!seen) { root.hidden = false; show(); } } };
}
