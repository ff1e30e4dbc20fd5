// The strip that says when the connection is gone, and when the next attempt is due.

export function showConnection(socket, element) {
  const words = element.querySelector(".words");
  const due = element.querySelector(".due"); // not read out: it changes every second
  let countdown = 0;

  element.querySelector("button").addEventListener("click", () => socket.retry());

  socket.addEventListener("down", ({ detail }) => {
    const at = performance.now() + detail.delay;
    const count = () => {
      const seconds = Math.ceil((at - performance.now()) / 1000);
      due.textContent = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again…";
    };
    clearInterval(countdown);
    countdown = setInterval(count, 1000);
    count();
    element.hidden = false;
    document.body.classList.add("adrift");
    words.textContent = "Connection lost.";
  });

  socket.addEventListener("up", () => {
    clearInterval(countdown);
    words.textContent = "";
    element.hidden = true;
    document.body.classList.remove("adrift");
  });
}
