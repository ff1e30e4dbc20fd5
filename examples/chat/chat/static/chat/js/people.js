// Who is in the room. The server counts people, not tabs.

import { conversation, fromTemplate, paintAvatar } from "./dom.js";

const FADE = 600; // ms that a person is seen to leave; whoever reloads the page never left

export function showPeople(aside, toggle, socket, me) {
  const list = aside.querySelector("ul");
  const here = new Map(); // a person's number → their element

  const count = () => {
    const present = [...here.values()].filter((each) => !each.classList.contains("leaving"));
    for (const element of [aside, toggle]) {
      element.querySelector(".count").textContent = present.length;
    }
  };
  const remove = (id) => {
    here.get(id)?.remove();
    here.delete(id);
  };
  const add = (person) => {
    remove(person.id);
    const element = fromTemplate("person-entry");
    const link = element.querySelector("a");
    paintAvatar(element.querySelector(".avatar"), person);
    element.querySelector("bdi").textContent = person.id === me ? `${person.name} (you)` : person.name;
    if (person.id !== me) {
      link.href = conversation(person);
      link.title = `Write to ${person.name} in private`;
    }
    element.dataset.order = person.id === me ? "" : person.name;
    const after = [...list.children].find(
      (each) => each.dataset.order.localeCompare(element.dataset.order) > 0,
    );
    list.insertBefore(element, after ?? null);
    here.set(person.id, element);
    count();
  };

  socket.on("people", ({ people }) => {
    for (const id of [...here.keys()]) remove(id);
    people.forEach(add);
    count();
  });
  socket.on("joined", ({ person }) => add(person));
  socket.on("left", ({ person }) => {
    const element = here.get(person.id);
    element?.classList.add("leaving");
    count();
    setTimeout(() => here.get(person.id) === element && remove(person.id), FADE);
  });

  const open = (yes) => {
    toggle.setAttribute("aria-expanded", String(yes));
    aside.classList.toggle("open", yes);
  };
  toggle.addEventListener("click", () => {
    open(!aside.classList.contains("open"));
    if (aside.classList.contains("open")) aside.focus(); // so that Tab goes on in the list
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !aside.classList.contains("open")) return;
    open(false);
    toggle.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!aside.contains(event.target) && !toggle.contains(event.target)) open(false);
  });
}
