// What the pages do without loading anew. All of them work without this file too.
"use strict";

const POLL_MS = 2000;
// With a phone in the hand, two seconds are long.
const DIALOG_POLL_MS = 1000;
const SLOWEST_POLL_MS = 30000;
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function announce(text) {
  one("#announce").textContent = text;
}

// Asks one of our own pages. A session that is over leads to the sign-in.
async function ask(path, fields) {
  const options = { headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store" };
  if (fields) Object.assign(options, { method: "POST", body: new URLSearchParams(fields) });
  const answer = await fetch(path, options).catch(() => { throw new Error("Sem conexão com o servidor. Tente de novo."); });
  if (answer.status === 204) return null;
  const value = await answer.json().catch(() => ({}));
  if (answer.status === 401 && value.sign_in) {
    location.assign(`${value.sign_in}?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  if (!answer.ok) throw Object.assign(new Error(value.error || "Algo deu errado. Tente de novo."), { status: answer.status });
  return value;
}

// Calls `look` again and again: never twice at once, not while the tab is hidden, ever more slowly while it fails.
function polling(look, every = POLL_MS) {
  let timer = 0, pause = every, running = false, busy = false, run = 0;
  const later = (wait) => { clearTimeout(timer); timer = setTimeout(turn, wait); };
  async function turn() {
    const mine = run;
    if (!running || busy || document.hidden) return;
    busy = true;
    try {
      await look(() => running && mine === run);
      pause = every;
    } catch {
      pause = Math.min(pause * 2, SLOWEST_POLL_MS);
    }
    busy = false;
    if (running) later(mine === run ? pause : 0);
  }
  document.addEventListener("visibilitychange", () => { if (running && !document.hidden) later(0); });
  return {
    start(wait = every) { running = true; run += 1; pause = every; later(wait); },
    stop() { running = false; run += 1; clearTimeout(timer); },
  };
}

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

// The cards: one element for each connection, kept as the server says.
function showCard(live) {
  for (const card of all(`[data-connection="${CSS.escape(live.key)}"]`)) {
    const changed = card.dataset.status !== live.state;
    card.dataset.status = live.state;
    card.dataset.waiting = live.waiting_count;
    for (const [name, text] of Object.entries(live.texts)) {
      for (const place of all(`[data-live="${name}"]`, card)) setText(place, text);
    }
    for (const row of all("[data-live-show]", card)) row.hidden = !live.texts[row.dataset.liveShow];
    one('[data-live="badge"]', card).dataset.tone = live.tone;
    if (changed) announce(`${live.name}: ${live.texts.badge}`);
  }
}

function watchConnections(place) {
  let version = "";
  const look = async () => {
    const news = await ask(`${place.dataset.connections}?version=${version}`);
    if (news === null) return;
    for (const live of news.cards) showCard(live);
    for (const [name, count] of Object.entries(news.counters)) setText(one(`[data-counter="${name}"]`), String(count));
    version = news.version;
  };
  const poll = polling(look);
  poll.start();
  return () => poll.start(0);
}

function filterCards(form) {
  const input = one("input", form), cards = all("[data-card]");
  const narrow = () => {
    const words = plain(input.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const fits = words.every((word) => plain(card.dataset.find).includes(word));
      card.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    one("[data-nothing]").hidden = shown > 0;
    if (words.length) announce(shown === 1 ? "1 cliente" : `${shown} clientes`);
  };
  // What the server left out cannot be found here: then the server searches.
  if (new URLSearchParams(location.search).get("q")) return;
  input.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => { event.preventDefault(); narrow(); });
}

// The dialog of a pairing: polls only while it is open and the pairing under way.
function pairingDialog(dialog, refreshCards) {
  const part = (name) => one(`[data-${name}]`, dialog);
  const codeForm = part("code-form"), phone = one("#pairing-phone"), wrong = one("#pairing-phone-wrong");
  let path = "", token = "", state = "", endsAt = 0, life = 45, ticking = 0;

  const tick = () => {
    const left = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
    one("progress", dialog).value = left;
    setText(part("countdown"), left > 0 ? `Novo código em ${left} s` : "Renovando o código…");
  };
  function show(pairing) {
    const picture = one(".qr img", dialog), by = pairing.state;
    const drawn = by === "waiting_for_scan" && pairing.picture ? by : by === "waiting_for_scan" ? "connecting" : by;
    if (drawn === "waiting_for_scan" && picture.getAttribute("src") !== pairing.picture) picture.src = pairing.picture;
    if (drawn !== "waiting_for_scan") picture.removeAttribute("src");
    const figure = part("qr");
    figure.dataset.state = by;
    figure.classList.toggle("has-code", drawn === "waiting_for_scan");
    for (const each of all("[data-when]", figure)) {
      const when = each.dataset.when;
      each.toggleAttribute("hidden", !(when === drawn || (when === "over" && !["connecting", "waiting_for_scan", "connected"].includes(drawn))));
    }
    setText(part("state-text"), pairing.text);
    setText(part("state-help"), pairing.help);
    part("renewal").hidden = drawn !== "waiting_for_scan";
    part("how").hidden = !pairing.under_way;
    part("done").hidden = by !== "connected";
    part("again").hidden = pairing.under_way || by === "connected";
    const isNews = part("code").hidden && pairing.pairing_code;
    part("code").hidden = !pairing.pairing_code;
    setText(part("code"), pairing.pairing_code || "");
    if (isNews) part("code").scrollIntoView({ block: "nearest" });
    life = pairing.code_life_s || life;
    one("progress", dialog).max = life;
    endsAt = performance.now() + pairing.expires_in_s * 1000;
    tick();
    if (!pairing.under_way && state !== by) {
      poll.stop();
      refreshCards();
      one(by === "connected" ? "[data-done] button" : "[data-restart]", dialog).focus();
    }
    state = by;
  }
  const fail = (text) => show({ state: "refused", under_way: false, text, help: "", expires_in_s: 0 });
  const poll = polling(async (isWanted) => {
    try {
      const pairing = await ask(`${path}/connect.json`);
      if (isWanted()) show(pairing);
    } catch (error) {
      if (!isWanted()) return;
      if (error.status === 404) return fail("A conexão foi desfeita enquanto isso");
      setText(part("state-help"), error.message);
      throw error;
    }
  }, DIALOG_POLL_MS);
  async function begin(fields = {}) {
    poll.stop();
    const mine = path;
    try {
      const pairing = await ask(`${path}/connect`, { csrf: token, ...fields });
      if (!dialog.open || mine !== path) return;
      show(pairing);
      if (pairing.under_way) poll.start();
    } catch (error) {
      if (!dialog.open || mine !== path) return;
      if (fields.phone) { wrong.textContent = error.message; phone.setAttribute("aria-invalid", "true"); poll.start(); }
      else fail(error.message);
    }
  }
  const wait = () => { state = ""; show({ state: "connecting", under_way: true, text: "Conectando…", help: "", expires_in_s: 0 }); };
  part("restart").addEventListener("click", () => { wait(); begin(); });
  codeForm.addEventListener("submit", (event) => {
    event.preventDefault();
    wrong.textContent = "";
    phone.removeAttribute("aria-invalid");
    if (phone.value.trim()) begin({ phone: phone.value });
    else { wrong.textContent = "Informe o telefone com DDD, como 11 98765-4321."; phone.focus(); }
  });
  dialog.addEventListener("close", () => { poll.stop(); clearInterval(ticking); one(".qr img", dialog).removeAttribute("src"); refreshCards(); });
  return (form) => {
    path = form.dataset.connect;
    token = one('[name="csrf"]', form).value;
    setText(part("who"), form.dataset.name);
    codeForm.reset();
    wrong.textContent = "";
    phone.removeAttribute("aria-invalid");
    part("by-code").open = false;
    wait();
    dialog.showModal();
    clearInterval(ticking);
    ticking = setInterval(tick, 1000);
    begin();
  };
}

function openDisconnecting(dialog, link) {
  const count = Number(link.closest("[data-waiting]").dataset.waiting), waiting = one("[data-waiting-text]", dialog);
  one("form", dialog).action = `${link.dataset.disconnect}/disconnect`;
  setText(one("[data-who]", dialog), link.dataset.name);
  waiting.hidden = count === 0;
  setText(waiting, count === 1
    ? "1 mensagem na fila deste número será retirada e não vai mais sair."
    : `${count} mensagens na fila deste número serão retiradas e não vão mais sair.`);
  dialog.showModal();
}

// As WhatsApp shows it: *bold* and _slanted_ (rendering.marked does the same).
function setMarked(place, text) {
  const parts = text.split(/(\*[^*\n]+\*|(?<![\p{L}\p{N}_])_[^_\n]+_(?![\p{L}\p{N}_]))/u).map((part, at) => {
    if (at % 2 === 0) return part;
    const marked = document.createElement(part[0] === "*" ? "strong" : "em");
    marked.textContent = part.slice(1, -1);
    return marked;
  });
  place.replaceChildren(...parts);
}

// The message as it would read with the form as it stands.
function previewReport(form, place) {
  let timer = 0, latest = 0;
  const look = async () => {
    const mine = ++latest;
    try {
      const preview = await ask(form.dataset.preview, new FormData(form));
      if (mine !== latest) return;
      setMarked(place, preview.text);
      const why = one("[data-preview-why]");
      why.hidden = !preview.why;
      setText(why, preview.why || "");
    } catch (error) {
      if (mine === latest) announce(error.message);
    }
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 400); });
}

// Where messages stand, in the log and after "Enviar agora".
function watchDeliveries(place) {
  polling(async () => {
    const news = await ask(place.dataset.deliveries);
    for (const live of news.deliveries) {
      for (const badge of all(`[data-delivery="${CSS.escape(live.key)}"]`)) {
        setText(badge, live.text);
        badge.dataset.tone = live.tone;
      }
    }
  }).start();
}

function showFor(form) {
  const choice = form.elements.frequency;
  const follow = () => { for (const each of all("[data-for]", form)) each.hidden = !each.dataset.for.split(" ").includes(choice.value); };
  choice.addEventListener("change", follow);
  follow();
}

const watched = one("[data-connections]");
const refreshCards = watched ? watchConnections(watched) : () => {};
const search = one("[data-search]");
if (search) filterCards(search);
const pairing = one("#pairing");
if (pairing) {
  const open = pairingDialog(pairing, refreshCards);
  for (const form of all("[data-connect]")) form.addEventListener("submit", (event) => { event.preventDefault(); open(form); });
}
const disconnecting = one("#disconnecting");
for (const link of all("[data-disconnect]")) {
  link.addEventListener("click", (event) => { event.preventDefault(); openDisconnecting(disconnecting, link); });
}
for (const button of all("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
for (const dialog of all("dialog")) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
const previewed = one("[data-preview]");
if (previewed) previewReport(previewed, one("[data-preview-text]"));
const deliveries = one("[data-deliveries]");
if (deliveries) watchDeliveries(deliveries);
const report = one("[data-report]");
if (report) showFor(report);
// A second press of the same button changes nothing.
for (const form of all("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-disabled", "true");
  });
}
// A notice is said once: loading anew does not say it again.
if (new URLSearchParams(location.search).has("notice")) history.replaceState(null, "", location.pathname);
addEventListener("pageshow", () => { for (const form of all("form[data-sent]")) { delete form.dataset.sent; for (const each of all('[aria-disabled]', form)) each.removeAttribute("aria-disabled"); } });
