// Private messages and new rooms, on whatever page one is: badges, toasts and the two lists.

import { conversation, fromTemplate, paintAvatar } from "./dom.js";

const TOAST_FOR = 8_000; // ms, unless it is pointed at
const TOASTS = 3; // at a time

export class Inbox {
  #me;
  #other; // whose conversation this page shows, if it shows one
  #title = document.title;
  #rooms = document.getElementById("rooms");
  #partners = document.getElementById("partners");
  #toasts = document.getElementById("toasts");

  constructor(socket, me, other) {
    this.#me = me;
    this.#other = other;
    socket.on("welcome", ({ unread }) => this.#count(unread));
    socket.on("unread", ({ unread }) => this.#count(unread));
    socket.on("private", ({ message }) => this.#arrived(message));
    socket.on("room", (room) => this.#opened(room));
    socket.on("rooms", ({ rooms }) => rooms.forEach((room) => this.#opened(room)));
  }

  #arrived(message) {
    const mine = message.author.id === this.#me;
    const partner = mine ? message.to : message.author;
    if (!this.#entry(partner.id)) this.#addPartner(partner);
    if (!mine && partner.id !== this.#other) this.#toast(message);
  }

  /** Set all badges. What is unread in the conversation on this page is about to be read. */
  #count(unread) {
    const elsewhere = unread.filter(({ person }) => person.id !== this.#other);
    for (const badge of this.#partners.querySelectorAll(".badge")) badge.hidden = true;
    for (const { person, count } of elsewhere) {
      const badge = (this.#entry(person.id) ?? this.#addPartner(person)).querySelector(".badge");
      badge.querySelector(".count").textContent = count;
      badge.hidden = false;
    }
    const all = elsewhere.reduce((sum, { count }) => sum + count, 0);
    document.title = all ? `(${all}) ${this.#title}` : this.#title;
  }

  #entry(id) {
    return this.#partners.querySelector(`[data-person="${Number(id)}"]`);
  }

  #addPartner(person) {
    const entry = fromTemplate("partner-entry");
    entry.dataset.person = person.id;
    entry.querySelector("a").href = conversation(person);
    entry.querySelector("bdi").textContent = person.name;
    if (person.id === this.#other) entry.querySelector("a").setAttribute("aria-current", "page");
    paintAvatar(entry.querySelector(".avatar"), person);
    insertSorted(this.#partners, entry);
    return entry;
  }

  #opened({ id, name }) {
    const address = `/rooms/${Number(id)}/`;
    if (this.#rooms.querySelector(`[href="${address}"]`)) return; // the page came with it
    const entry = fromTemplate("room-entry");
    entry.querySelector("a").href = address;
    entry.querySelector("bdi").textContent = name;
    insertSorted(this.#rooms, entry);
  }

  #toast({ author, text }) {
    const toast = fromTemplate("toast");
    toast.querySelector("a").href = conversation(author);
    toast.querySelector("strong").textContent = author.name;
    toast.querySelector(".text").textContent = text;
    paintAvatar(toast.querySelector(".avatar"), author);
    toast.querySelector("button").addEventListener("click", () => toast.remove());
    const fade = () => (toast.matches(":hover, :focus-within") ? later() : toast.remove());
    const later = () => setTimeout(fade, TOAST_FOR);
    later();
    this.#toasts.append(toast);
    while (this.#toasts.children.length > TOASTS) this.#toasts.firstElementChild.remove();
  }
}

function insertSorted(list, entry) {
  const name = (element) => element.querySelector("bdi").textContent;
  const after = [...list.children].find((each) => name(each).localeCompare(name(entry)) > 0);
  list.insertBefore(entry, after ?? null);
}
