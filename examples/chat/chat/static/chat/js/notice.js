// The strip that says when the connection is gone, and when the next attempt is due.

export function showConnection(socket, element) {
  const words = element.querySelector(".words");
  let countdown = 0;

  element.querySelector("button").addEventListener("click", () => socket.retry());

  socket.addEventListener("down", ({ detail }) => {
    const due = performance.now() + detail.delay;
    const tell = () => {
      const seconds = Math.ceil((due - performance.now()) / 1000);
      words.textContent =
        seconds > 0
          ? `Connection lost. Trying again in ${seconds} s.`
          : "Connection lost. Trying again…";
    };
    clearInterval(countdown);
    countdown = setInterval(tell, 1000);
    tell();
    element.hidden = false;
  });

  socket.addEventListener("up", () => {
    clearInterval(countdown);
    element.hidden = true;
  });
}
