// One WebSocket that comes back by itself.
//
//   socket.on("message", handler)     an event from the server, by its `type`
//   socket.send({type: …})            false if there is no connection; nothing is queued here
//   "up" and "down" (DOM events)      the connection is there, or is gone until `detail.delay`

const FIRST_DELAY = 500; // ms before the first new attempt, doubled for every further one
const LONGEST_DELAY = 15_000; // ms
const PING_EVERY = 25_000; // ms; a network that vanishes says nothing, so ask
const PONG_WITHIN = 8_000; // ms until silence counts as a lost connection
const SESSION_OVER = 4401; // the server's close code after a logout

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
    addEventListener("offline", () => this.#ping());
    document.addEventListener("visibilitychange", () => document.hidden || this.#ping());
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
    socket.onopen = () => {
      opened = true;
      this.#attempts = 0;
      this.#timers.ping = setInterval(() => this.#ping(), PING_EVERY);
      this.dispatchEvent(new Event("up"));
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (code === SESSION_OVER) location.reload();
      else this.#lost();
      if (!opened) reloadIfLoggedOut();
    };
  }

  /** Send an event, if there is a connection; return whether there was. */
  send(event) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(event));
    return true;
  }

  #receive(event) {
    clearTimeout(this.#timers.pong);
    for (const handler of this.#handlers.get(event.type) ?? []) handler(event);
  }

  #ping() {
    if (!this.send({ type: "ping" })) return;
    clearTimeout(this.#timers.pong);
    this.#timers.pong = setTimeout(() => this.#lost(), PONG_WITHIN);
  }

  #lost() {
    this.#drop();
    const delay = backOff(this.#attempts++);
    this.#timers.retry = setTimeout(() => this.retry(), delay);
    this.dispatchEvent(new CustomEvent("down", { detail: { delay } }));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timers.retry);
    clearInterval(this.#timers.ping);
    clearTimeout(this.#timers.pong);
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

/** A browser does not tell why a handshake was refused; the page's own address does. */
async function reloadIfLoggedOut() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 404) location.reload();
  } catch {
    // The server is not there. The next attempt will see.
  }
}
