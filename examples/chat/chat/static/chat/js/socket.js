// One WebSocket that comes back by itself.
//
//   socket.on("message", handler)     an event from the server, by its `type`
//   socket.send({type: …})            false if there is no connection; nothing is queued here
//   socket.check()                    is anyone there? "down" if no answer comes
//   "up" and "down" (DOM events)      the connection is there, or is gone until `detail.delay`

const FIRST_DELAY = 500; // ms before the first new attempt, doubled for every further one
const LONGEST_DELAY = 15_000; // ms
const PING_EVERY = 25_000; // ms; a network that vanishes says nothing, so ask
const PONG_WITHIN = 8_000; // ms until silence counts as a lost connection
const CONNECT_WITHIN = 15_000; // ms for the handshake; a server that hangs never refuses it
const RETRY = /\bretry=(\d+(?:\.\d+)?)/; // in the reason of a server that restarts: seconds, spread over all clients
const GO = new Set([4401, 4404]); // close codes of consumers.py: logged out; deleted

/** Return how long to wait before attempt `n`: back-off, with jitter so that not all come at once. */
export function backOff(n, random = Math.random) {
  return Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** n) * (0.5 + random() / 2);
}

export class LiveSocket extends EventTarget {
  #url;
  #socket = null;
  #handlers = new Map();
  #attempts = 0;
  #timers = { retry: 0, ping: 0, pong: 0 };

  constructor(path) {
    super();
    this.#url = new URL(path, location.href);
    this.#url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.check());
    document.addEventListener("visibilitychange", () => document.hidden || this.check());
    // A page that is left frees its socket at once, and takes a new one if it is come back to.
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", (event) => event.persisted && this.retry());
  }

  /** Call `handler` with every event of this `type`. */
  on(type, handler) {
    this.#handlers.set(type, [...(this.#handlers.get(type) ?? []), handler]);
  }

  /** Connect, now. Does nothing while there is a connection or one is being made. */
  retry() {
    if (this.#socket) return;
    clearTimeout(this.#timers.retry);
    const socket = (this.#socket = new WebSocket(this.#url));
    let opened = false;
    this.#expect(CONNECT_WITHIN);
    socket.onopen = () => {
      opened = true;
      this.#attempts = 0;
      this.#heard();
      this.#timers.ping = setInterval(() => this.check(), PING_EVERY);
      this.dispatchEvent(new Event("up"));
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      if (GO.has(code)) loadAnew();
      else this.#lost(RETRY.exec(reason)?.[1]);
      if (!opened) loadAnewIfRefused();
    };
  }

  /** Send an event, if there is a connection; return whether there was. */
  send(event) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(event));
    return true;
  }

  /** Ask whether anyone is there, unless an answer is awaited already. */
  check() {
    if (!this.#timers.pong && this.send({ type: "ping" })) this.#expect(PONG_WITHIN);
  }

  #expect(within) {
    this.#heard();
    this.#timers.pong = setTimeout(() => this.#lost(), within);
  }

  #heard() {
    clearTimeout(this.#timers.pong);
    this.#timers.pong = 0;
  }

  #receive(event) {
    this.#heard();
    for (const handler of this.#handlers.get(event.type) ?? []) handler(event);
  }

  #lost(seconds) {
    this.#drop();
    const delay = seconds ? seconds * 1000 : backOff(this.#attempts);
    this.#attempts++;
    this.#timers.retry = setTimeout(() => this.retry(), delay);
    this.dispatchEvent(new CustomEvent("down", { detail: { delay } }));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timers.retry);
    clearInterval(this.#timers.ping);
    this.#heard();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

/** Load the page's address with GET; `reload()` would repeat a form that it is the answer to. */
export function loadAnew() {
  location.replace(location.pathname);
}

/** A browser does not tell why a handshake was refused; the page's own address does. */
async function loadAnewIfRefused() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 404) loadAnew();
  } catch {
    // The server is not there. The next attempt will see.
  }
}
