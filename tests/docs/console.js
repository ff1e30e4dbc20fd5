const socket = new WebSocket(`ws://${location.host}/ws/talk/`);
socket.onmessage = (event) => console.log(event.data);
socket.onopen = () => socket.send('"Ahoy"');
