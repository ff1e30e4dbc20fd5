// Puts the parts of a page together: one socket, and what listens to it.

import { setUpComposer } from "./composer.js";
import { Inbox } from "./inbox.js";
import { showConnection } from "./notice.js";
import { showPeople } from "./people.js";
import { LiveSocket, loadAnew } from "./socket.js";
import { Thread } from "./thread.js";

const me = Number(document.body.dataset.me);
const root = document.getElementById("thread");
const other = Number(root?.dataset.other ?? 0);
const socket = new LiveSocket(document.body.dataset.socket);

// A page come back to with the Back button may be of someone who has logged out since.
socket.on("welcome", (event) => event.me === me || loadAnew());
document.querySelector("#rooms [aria-current]")?.scrollIntoView({ block: "nearest" });
showConnection(socket, document.getElementById("notice"));
new Inbox(socket, me, other);

if (root) {
  const thread = new Thread(root, socket, me);
  setUpComposer(document.getElementById("composer"), thread, socket, Number(root.dataset.max));
  if (other) followConversation(thread);
  else {
    socket.on("message", ({ message }) => thread.add(message));
    const people = document.getElementById("people");
    showPeople(people, document.getElementById("people-toggle"), socket, me);
  }
}

socket.retry();

/** Show what the two write, and let the server know that it has been seen. */
function followConversation(thread) {
  const seen = () => document.hidden || socket.send({ type: "read" });
  socket.on("messages", seen);
  socket.on("private", ({ message }) => {
    if (message.author.id !== other && message.to.id !== other) return;
    thread.add(message);
    if (message.author.id === other) seen();
  });
  document.addEventListener("visibilitychange", seen);
}
