// What a page must keep so that everybody can use it. Answers a list of what it breaks, in words.
() => {
  const broken = [];
  const name = (e) => `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}.${[...e.classList].join(".")} "${(e.textContent || "").trim().slice(0, 30)}"`;
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".sr-only, .skip") && e.getClientRects().length > 0;
  const say = (what, e) => broken.push(`${what}: ${name(e)}`);

  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("body *")].filter((e) => seen(e) && e.getBoundingClientRect().right > innerWidth + 1);
    broken.push(`scrolls sideways: ${wide.slice(0, 3).map(name).join("; ")}`);
  }
  if (document.documentElement.lang !== "pt-BR") broken.push("no language");
  if (!document.title.trim()) broken.push("no title");
  if (document.querySelectorAll("main").length !== 1 || document.querySelectorAll("h1").length !== 1) broken.push("not one main and one h1");

  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((each, at) => ids.indexOf(each) !== at))) broken.push(`id twice: ${id}`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
    for (const e of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of e.getAttribute(attribute).split(/\s+/)) if (id && !document.getElementById(id)) say(`${attribute} names nothing (${id})`, e);
    }
  }
  let level = 0;
  for (const e of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
    const mine = Number(e.tagName[1]);
    if (mine > level + 1) say("heading leaves a level out", e);
    level = mine;
  }
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!e.labels?.length && !e.getAttribute("aria-label")) say("no label", e);
  }
  for (const e of document.querySelectorAll("img, [role=img]")) if (!e.hasAttribute("alt") && !e.hasAttribute("aria-label")) say("no alternative", e);
  for (const e of document.querySelectorAll("button, a[href]")) {
    if (!(e.textContent.trim() || e.getAttribute("aria-label") || e.querySelector("img[alt]:not([alt=''])"))) say("no name", e);
  }
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) say("order of its own", e);

  const targets = "button, summary, .button, .link, .links a, .nav a, .brand, .back, .foot a, .switch, .check, select, input:not([type=hidden], [type=checkbox])";
  for (const e of document.querySelectorAll(targets)) {
    const box = e.getBoundingClientRect();
    if (seen(e) && (box.height < 43.5 || box.width < 43.5)) say(`small target (${Math.round(box.width)} x ${Math.round(box.height)})`, e);
  }

  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
  const ground = (e) => {
    const layers = [];
    for (let each = e; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), rgba("Canvas"));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  for (const e of document.querySelectorAll("body *")) {
    const speaks = [...e.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!speaks || !seen(e) || e.closest("[disabled], [aria-disabled=true], noscript")) continue;
    const style = getComputedStyle(e), behind = ground(e), size = parseFloat(style.fontSize);
    const needs = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const has = contrast(over(rgba(style.color), behind), behind);
    if (has < needs) say(`contrast ${has.toFixed(2)} < ${needs}`, e);
  }
  // The border is what shows where a field is (WCAG 1.4.11).
  for (const e of document.querySelectorAll(".input")) {
    if (!seen(e)) continue;
    const has = contrast(rgba(getComputedStyle(e).borderTopColor).slice(0, 3), ground(e.parentElement));
    if (has < 3) say(`border ${has.toFixed(2)} < 3`, e);
  }
  return broken;
}
