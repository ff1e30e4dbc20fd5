// Where one writes: Enter sends, Shift+Enter starts a line, and a refusal gives the text back.

const WARN_BELOW = 200; // characters left

export function setUpComposer(form, thread, socket, longest) {
  const field = form.querySelector("textarea");
  const problem = form.querySelector(".problem");
  const left = form.querySelector(".left");

  const length = () => [...field.value.trim()].length; // as the server counts

  const changed = () => {
    field.style.height = "auto"; // through the object model, which a strict policy allows
    field.style.height = `${field.scrollHeight}px`;
    const remaining = longest - length();
    left.textContent = remaining < WARN_BELOW ? String(remaining) : "";
    left.classList.toggle("over", remaining < 0);
  };
  const complain = (text) => {
    problem.textContent = text;
    field.setAttribute("aria-invalid", String(Boolean(text)));
  };

  field.addEventListener("input", () => {
    complain("");
    changed();
  });
  field.addEventListener("keydown", (event) => {
    // While an input method composes, Enter picks a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!field.value) return field.focus(); // a double click on the button is no mistake
    if (!field.value.trim()) return complain("Write something first.");
    // The server refuses it, too; but a megabyte would cost the connection first.
    if (length() > longest) {
      return complain(`That is too long: ${length()} characters, and ${longest} fit.`);
    }
    complain("");
    thread.say(field.value);
    field.value = "";
    changed();
    field.focus();
  });
  socket.on("refused", ({ key, error }) => {
    const text = thread.takeBack(key);
    complain(error);
    if (!field.value) field.value = text; // unless something new is being written already
    changed();
  });
  if (matchMedia("(hover: hover)").matches) field.focus(); // no keyboard jumps up on a phone
}
