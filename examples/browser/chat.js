// A chat, and who has it open, with nothing on a server but the broker.
//
//   chat/lobby               what is said
//   chat/lobby/tabs          "I am here", by each tab when it opens or is renamed, and when it is asked who is there
//   chat/lobby/tabs/ID       requests to one tab: it answers with its name for as long as it is open
//
// A tab that was closed says nothing. The others notice as their next request to it finds nobody: NO_RESPONDERS comes
// at once, and not after a time that somebody had to choose.
//
// Run a broker that lets this page in, serve this directory, and open chat.html in two tabs. ?broker=URL names a broker
// elsewhere; without it, it is the one that the page came from.

const broker = new URLSearchParams(location.search).get("broker") ?? location.origin;
const { connect } = await import(new URL("/fanwire.js", broker).href);

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
  const { name, text } = message.json();
  show(`${name}: ${text}`);
}).on("reconnected", ({ missing }) => missing && show("(something may be missing here)"));

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
  element("tabs").replaceChildren(...[...tabs].sort().map(([tab, name]) => {
    const line = document.createElement("li");
    line.textContent = tab === id ? `${name} (this tab)` : name;
    return line;
  }));
}

function show(text) {
  const line = document.createElement("li");
  line.textContent = text;
  element("messages").append(line);
  if (element("messages").childElementCount > 200) element("messages").firstElementChild.remove();
}

element("name").addEventListener("change", announce);
element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("text").value;
  element("text").value = "";
  try {
    await client.publish(ROOM, { name: element("name").value, text });
  } catch (error) {
    // UNKNOWN may have arrived: whether to send it again is for who wrote it.
    element("text").value = text;
    show(`(not sent for sure: ${error.code})`);
  }
});
askAll();
