// A chat, and who has it open, with nothing on a server but the broker.
//
//   chat/lobby               what is said
//   chat/lobby/tabs          "I am here", by each tab when it opens or is renamed, and when it is asked who is there
//   chat/lobby/tabs/ID       requests to one tab: it answers with its name for as long as it is open
//
// A tab that was closed says nothing. The others notice as their next request to it finds nobody: NO_RESPONDERS comes
// at once, and not after a time that somebody had to choose.
//
// The README says how to run it. ?broker=URL names the broker; else it is the one of this machine at its usual port.

const given = new URLSearchParams(location.search).get("broker");
const broker = new URL(given ?? `http://${location.hostname}:7311`).origin;
const { connect } = await import(`${broker}/fanwire.js`).catch((error) => {
  document.getElementById("link").textContent = `There is no broker at ${broker}, or it does not let pages of `
    + `${location.origin} in: http.origins of its configuration lists those that it does.`;
  throw error;
});

const ROOM = "chat/lobby";
const ASK_PERIOD_MS = 2000;

const element = (id) => document.getElementById(id);
const id = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const me = () => ({ id, name: element("name").value });
const tabs = new Map();

const client = connect(broker, { clientName: "chat example" });
client.on("open", ({ transport }) => { element("link").textContent = `connected by ${transport}`; });
client.on("reconnecting", () => { element("link").textContent = "no connection; trying again"; });

client.subscribe(ROOM, (message) => {
  const { id: from, name, text } = message.json();
  show(`${name}: ${text}`, from === id ? "mine" : "");
}).on("reconnected", ({ missing }) => missing && show("Something may be missing here.", "note"));

client.respond(`${ROOM}/tabs/${id}`, id, () => me());

const presence = client.subscribe(`${ROOM}/tabs`, (message) => {
  const tab = message.json();
  const isNew = !tabs.has(tab.id);
  tabs.set(tab.id, tab.name);
  showTabs();
  // Whoever is new has to hear of those who were here before.
  if (isNew && tab.id !== id) announce();
});
presence.on("subscribed", announce);

function announce() {
  client.publish(`${ROOM}/tabs`, me()).catch(() => { /* The next link announces again. */ });
}

async function ask(tab) {
  try {
    const reply = await client.request(`${ROOM}/tabs/${tab}`, "", { timeout: 5000 });
    tabs.set(tab, reply.json().name);
  } catch (error) {
    // All else is a matter of this tab's own connection.
    if (error.code === "NO_RESPONDERS" || error.code === "RESPONDER_GONE") tabs.delete(tab);
  }
}

async function askAll() {
  const others = [...tabs.keys()].filter((tab) => tab !== id);
  await Promise.all(others.map(ask));
  showTabs();
  setTimeout(askAll, ASK_PERIOD_MS);
}

function showTabs() {
  const byName = ([one, nameOfOne], [other, nameOfOther]) => (other === id) - (one === id)
    || nameOfOne.localeCompare(nameOfOther) || one.localeCompare(other);
  element("tabs").replaceChildren(...[...tabs].sort(byName).map(([tab, name]) => {
    const line = document.createElement("li");
    line.textContent = tab === id ? `${name} (this tab)` : name;
    line.className = tab === id ? "mine" : "";
    return line;
  }));
}

/** Who has scrolled back stays there; who reads the newest goes on doing so. */
function show(text, kind) {
  const list = element("messages");
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  const line = document.createElement("li");
  line.textContent = text;
  line.className = kind;
  list.append(line);
  if (list.childElementCount > 200) list.firstElementChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

element("name").addEventListener("change", announce);
element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("text").value;
  element("text").value = "";
  try {
    await client.publish(ROOM, { ...me(), text });
  } catch (error) {
    // UNKNOWN may have arrived: whether to send it again is for who wrote it.
    element("text").value = text;
    show(`It may not have been sent: ${error.code}.`, "note");
  }
});
askAll();
