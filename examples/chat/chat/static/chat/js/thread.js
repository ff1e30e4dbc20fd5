// The messages of a page: what was said before, what is said now, and what is on its way.
//
// Messages have numbers that grow. `#seen` is the number up to which nothing is missing. After a
// lost connection the page asks for what came after it, so nothing is lost; a number that is
// shown already is not shown again, so nothing is there twice.

import { conversation, fromTemplate, paintAvatar } from "./dom.js";

// A message can become visible in the database a moment after one with a higher number, so a
// little of what is known is asked for again.
const OVERLAP = 20;
const GROUP_FOR = 5 * 60_000; // ms within which one person's messages stand together
const CLOSE_TO_END = 80; // px from the end within which new messages scroll into view

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** A message's name, as unguessable as a UUID. (`randomUUID` is missing on plain-HTTP hosts.) */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** "Today", "yesterday", or the date. */
function dayName(date) {
  const midnight = (when) => new Date(when).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(date) - midnight(Date.now())) / 86_400_000);
  return days > -2 ? relative.format(days, "day") : calendar.format(date);
}

export class Thread {
  #socket;
  #me;
  #parts;
  #shown = new Map(); // a message's number → its element
  #waiting = new Map(); // a message's key → its text and element, until the server has it
  #seen = 0;
  #complete = false; // nothing is missing between #seen and what arrives live
  #following = true; // the reader is at the end and wants to stay there

  constructor(root, socket, me) {
    this.#socket = socket;
    this.#me = me;
    const part = (selector) => root.querySelector(selector);
    this.#parts = {
      scroller: part(".scroller"),
      log: part(".log"),
      list: part(".log .messages"),
      waiting: part(".waiting"),
      empty: part(".empty"),
      earlier: part(".earlier"),
      jump: part(".jump"),
    };
    const { scroller, earlier, jump } = this.#parts;
    earlier.addEventListener("click", () => {
      socket.send({ type: "load", before: Math.min(...this.#shown.keys()) });
    });
    jump.addEventListener("click", () => this.#toEnd());
    scroller.addEventListener("scroll", () => {
      this.#following = this.#atEnd();
      if (this.#following) jump.hidden = true;
    });
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(scroller);
    socket.addEventListener("up", () => this.#catchUp());
    socket.on("missed", () => this.#catchUp());
    socket.on("messages", (event) => this.#loaded(event));
  }

  /** Show a message that has just been said, and take it for the answer to our own. */
  add(message) {
    const follow = this.#following || message.author.id === this.#me;
    const isNew = this.#put(message);
    if (this.#complete) this.#seen = Math.max(this.#seen, message.id);
    if (follow) this.#toEnd();
    else if (isNew) this.#parts.jump.hidden = false;
  }

  /** Send a message; it waits, visibly, for as long as the server has not answered. */
  say(text) {
    const key = newKey();
    const element = fromTemplate("message");
    element.classList.add("mine");
    element.querySelector(".text").textContent = text;
    this.#parts.waiting.append(element);
    this.#waiting.set(key, { text, element });
    this.#socket.send({ type: "say", text, key });
    this.#socket.check(); // whoever waits for an answer learns soon if none will come
    this.#toEnd();
  }

  /** Take back the message with this `key`; return its text. */
  takeBack(key) {
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    waiting?.element.remove();
    return waiting?.text ?? "";
  }

  #catchUp() {
    this.#complete = false;
    if (this.#seen) this.#loadAfter(Math.max(0, this.#seen - OVERLAP));
    else this.#socket.send({ type: "load" });
    // The same key again: if the server had it already, it will not keep it twice.
    for (const [key, { text }] of this.#waiting) this.#socket.send({ type: "say", text, key });
  }

  #loadAfter(id) {
    this.#socket.send({ type: "load", after: id });
  }

  #loaded({ part, messages, more }) {
    const { scroller, earlier, empty, log } = this.#parts;
    const [fromTop, height] = [scroller.scrollTop, scroller.scrollHeight];
    log.setAttribute("aria-busy", "true"); // a screen reader need not read all of it out
    setTimeout(() => log.setAttribute("aria-busy", "false"), 500);
    for (const message of messages) this.#put(message);
    if (part === "before") scroller.scrollTop = fromTop + scroller.scrollHeight - height;
    else if (this.#following) this.#toEnd();
    if (part !== "after") earlier.hidden = !more;
    if (part === "before") return;
    if (part === "after" && more) this.#loadAfter(messages.at(-1).id);
    else {
      this.#complete = true;
      this.#seen = Math.max(0, ...this.#shown.keys());
      empty.hidden = this.#shown.size > 0;
    }
  }

  /** Put a message in its place by number; return whether it was not there yet. */
  #put(message) {
    if (message.author.id === this.#me) this.takeBack(message.key);
    if (this.#shown.has(message.id)) return false;
    const element = this.#element(message);
    let next = null;
    let previous = this.#parts.list.lastElementChild;
    while (previous && Number(previous.dataset.id) > message.id) {
      [next, previous] = [previous, previous.previousElementSibling];
    }
    this.#parts.list.insertBefore(element, next);
    this.#shown.set(message.id, element);
    this.#parts.empty.hidden = true;
    group(element);
    if (next) group(next);
    return true;
  }

  #element(message) {
    const element = fromTemplate("message");
    const at = new Date(message.at);
    const mine = message.author.id === this.#me;
    Object.assign(element.dataset, { id: message.id, author: message.author.id, at: +at });
    element.classList.toggle("mine", mine);
    paintAvatar(element.querySelector(".avatar"), message.author);
    const author = element.querySelector(".author");
    author.textContent = mine ? "You" : message.author.name;
    if (!mine) author.href = conversation(message.author);
    element.querySelector(".day time").textContent = dayName(at);
    const time = element.querySelector(".byline time");
    [time.dateTime, time.textContent] = [message.at, clock.format(at)];
    const text = element.querySelector(".text");
    [text.textContent, text.title] = [message.text, clock.format(at)];
    return element;
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#parts.scroller;
    return scrollHeight - scrollTop - clientHeight < CLOSE_TO_END;
  }

  #toEnd() {
    this.#parts.scroller.scrollTop = this.#parts.scroller.scrollHeight;
    this.#parts.jump.hidden = true;
  }
}

/** Mark whether a message starts a day, and whether it goes on where the one before it stopped. */
function group(element) {
  const before = element.previousElementSibling;
  const [at, then] = [Number(element.dataset.at), Number(before?.dataset.at)];
  const sameDay = before && new Date(at).toDateString() === new Date(then).toDateString();
  const sameBreath = before?.dataset.author === element.dataset.author && at - then < GROUP_FOR;
  element.classList.toggle("new-day", !sameDay);
  element.classList.toggle("goes-on", Boolean(sameDay && sameBreath));
}
