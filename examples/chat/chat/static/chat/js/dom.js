// What several modules need to put people and templates on the page.
//
// Text from others only ever goes in through `textContent`. Nothing here or elsewhere parses HTML.

/** Return a copy of the one element in `<template id="…">`. */
export function fromTemplate(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Turn an empty `.avatar` into this person's; the template tag `avatar` makes the same. */
export function paintAvatar(element, person) {
  element.classList.add(`hue-${person.hue}`);
  element.textContent = person.initial;
}

/** Return the address of the private conversation with a person. */
export function conversation(person) {
  return `/people/${person.id}/`;
}
