export function render({ model }) {
  const root = make("span", { hidden: true });
  const here = () => location.hash.slice(1);
  let timer = null;
  const send = bind(model, ({ link }) => {
    if (!link) return;
    // browsers refuse an address that changes at every move of a drag
    clearTimeout(timer);
    timer = setTimeout(() => { if (link !== here()) history.replaceState(null, "", `#${link}`); hook({ link }); }, 150);
  });
  addEventListener("hashchange", () => send("address", here()));
  send("address", here());
  return root;
}
