/* Opens, reads and writes the WebSockets (RFC 6455, the client's side). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../shared/deflate.h"
#include "load.h"

/* The key and its answer are the example of RFC 6455 section 1.3: no SHA-1 is needed to check a server. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==", ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/* So many opening handshakes are under way at once: fewer than any server's backlog. */
enum { OPENING_AT_ONCE = 64, EVENTS = 512, BUFFER = 4 * FRAME_MAX };
enum { OPENING_TIMEOUT = 20 /* seconds */, SOCKETS_OF_ADDRESS = 20000 };

bool is_probe(const struct load *load, const struct client *client)
{
    return client->index >= load->options.sockets;
}

static void request_upgrade(const struct load *load, struct client *client)
{
    const struct options *options = &load->options;
    long port = options->port[client->index % options->ports];
    char request[4096];
    int size = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%ld\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s%s%s%s%s%s%s\r\n",
        is_probe(load, client) ? options->probe_path : options->path, options->host, port, KEY,
        options->origin ? "Origin: " : "", options->origin ? options->origin : "",
        options->origin ? "\r\n" : "",
        options->cookie ? "Cookie: " : "", options->cookie ? options->cookie : "",
        options->cookie ? "\r\n" : "",
        options->deflate ? "Sec-WebSocket-Extensions: " DEFLATE_EXTENSION "\r\n" : "");
    if (size >= (int)sizeof request)
        die("the request does not fit into %zu bytes", sizeof request);
    if (send(client->socket, request, (size_t)size, MSG_NOSIGNAL) != size)
        die("socket %u: cannot send the request: %s", client->index, strerror(errno));
}

/* An address has a port for each of so many sockets to one server, whatever the system's range of ports. */
static void choose_source(const struct load *load, const struct client *client)
{
    int late = 1; /* a port is chosen when the server's is known, so that it need not be free everywhere */
    struct sockaddr_in source = loopback(load->options.source, 0);
    uint32_t address = ntohl(source.sin_addr.s_addr) + client->index / SOCKETS_OF_ADDRESS;
    source.sin_addr.s_addr = htonl(address);
    if (setsockopt(client->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late) ||
        bind(client->socket, (struct sockaddr *)&source, sizeof source))
        die("socket %u: cannot be opened from another address: %s", client->index, strerror(errno));
}

void open_one(struct load *load, struct client *client)
{
    const struct options *options = &load->options;
    long port = options->port[client->index % options->ports];
    struct sockaddr_in address = loopback(options->host, port);
    struct timeval patience = {.tv_sec = OPENING_TIMEOUT};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    client->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (client->socket >= 0 && options->source)
        choose_source(load, client);
    /* On the loopback connect() returns at once unless the server's backlog is full. */
    if (client->socket < 0 ||
        setsockopt(client->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
        connect(client->socket, (struct sockaddr *)&address, sizeof address))
        die("socket %u: cannot connect: %s", client->index, strerror(errno));
    tune(client->socket);
    if (load->read == read_websocket) {
        request_upgrade(load, client);
    } else { /* there is nothing to agree on */
        client->open = true;
        load->open++;
    }
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->socket, &event))
        die("epoll_ctl: %s", strerror(errno));
}

/* What the server answered to the offer: it may add a smaller window, but take over no context. */
static void check_extensions(const struct client *client, const char *head)
{
    static const char name[] = "\nSec-WebSocket-Extensions:";
    const char *answer = strcasestr(head, name);
    if (!answer || !strstr(answer, "permessage-deflate") || !strstr(answer, "server_no_context_takeover"))
        die("socket %u: the server does not compress as it was asked to", client->index);
}

/* Returns the size of the response, or 0 if it is not whole yet; anything but the right 101 is the end. */
static size_t check_response(struct load *load, struct client *client, uint8_t *data, size_t size)
{
    static const char status[] = "HTTP/1.1 101 ", name[] = "\nSec-WebSocket-Accept:";
    char *text = (char *)data, *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) {
        if (size > 8192)
            die("socket %u: the response has no end", client->index);
        return 0;
    }
    *end = '\0';
    if (strncmp(text, status, sizeof status - 1) != 0)
        die("socket %u: refused: %.*s", client->index, (int)strcspn(text, "\r\n"), text);
    const char *accept = strcasestr(text, name);
    accept = accept ? accept + sizeof name - 1 : "";
    accept += strspn(accept, " \t");
    if (strncmp(accept, ACCEPT, sizeof ACCEPT - 1) != 0)
        die("socket %u: wrong Sec-WebSocket-Accept", client->index);
    if (load->options.deflate)
        check_extensions(client, text);
    client->open = true;
    load->open += !load->options.event; /* Socket.IO has more to agree on */
    return (size_t)(end + 4 - text);
}

/* The message in a compressed frame. All copies of a message are mostly the same bytes: those that were
 * decompressed last are not decompressed again, so that this does not become the bottleneck. */
static const uint8_t *decompressed(const struct client *client, const uint8_t *payload, size_t *length)
{
    static uint8_t last[FRAME_PAYLOAD_MAX], text[FRAME_PAYLOAD_MAX];
    static size_t last_length, text_length;
    if (*length != last_length || memcmp(payload, last, last_length) != 0) {
        text_length = inflate_message(payload, *length, text, sizeof text);
        if (text_length == SIZE_MAX)
            die("socket %u: a compressed message is not whole", client->index);
        last_length = *length;
        memcpy(last, payload, last_length);
    }
    *length = text_length;
    return text;
}

static void handle(struct load *load, struct client *client, const struct frame *frame,
                   const uint8_t *payload)
{
    size_t length = frame->length;
    switch (frame->opcode) {
    case OPCODE_TEXT:
        if (frame->compressed != load->options.deflate)
            die("socket %u: a message came %s", client->index,
                frame->compressed ? "compressed" : "uncompressed");
        if (frame->compressed)
            payload = decompressed(client, payload, &length);
        (load->options.event ? read_socketio : load->on_message)(load, client, payload, length);
        break;
    case OPCODE_PING:
        load->pinged++;
        send_frame(load, client, OPCODE_PONG, payload, frame->length);
        break;
    case OPCODE_PONG:
        load->pongs += !client->answered;
        client->answered = true;
        break;
    case OPCODE_CLOSE:
        die("socket %u: closed by the server with code %d", client->index,
            frame->length < 2 ? 1005 : payload[0] << 8 | payload[1]);
    case OPCODE_BINARY:
        die("socket %u: a binary message came back", client->index);
    }
}

void read_websocket(struct load *load, struct client *client)
{
    static uint8_t buffer[BUFFER];
    ssize_t got = receive(client->socket, &client->pending, buffer, sizeof buffer);
    if (got < 0)
        return;
    if (got == 0)
        die("socket %u: the server closed the connection", client->index);
    size_t size = (size_t)got, used = 0;
    if (!client->open && !(used = check_response(load, client, buffer, size))) {
        keep(&client->pending, buffer, size);
        return;
    }
    struct frame frame;
    enum frame_status status;
    while ((status = frame_parse(buffer + used, size - used, &frame)) == FRAME_COMPLETE) {
        if (frame.masked)
            die("socket %u: the server masked a frame", client->index);
        handle(load, client, &frame, buffer + used + frame.header);
        used += frame.header + frame.length;
    }
    if (status == FRAME_ILLEGAL)
        die("socket %u: a fragment or an overlong frame", client->index);
    keep(&client->pending, buffer + used, size - used);
}

void poll_sockets(struct load *load, int milliseconds)
{
    struct epoll_event events[EVENTS];
    int count = wait_for_events(load, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            load->read(load, events[i].data.ptr);
        else
            load->stop = true; /* standard input: a line or its end */
    }
}

void open_all(struct load *load)
{
    uint64_t give_up = now() + OPENING_TIMEOUT * 1000000000ull;
    size_t started = 0, before = 0;
    while (load->open < load->count) {
        while (started < load->count && started - load->open < OPENING_AT_ONCE)
            open_one(load, &load->clients[started++]);
        poll_sockets(load, 100);
        if (load->open > before) {
            before = load->open;
            give_up = now() + OPENING_TIMEOUT * 1000000000ull;
        } else if (now() > give_up) {
            die("%zu of %zu sockets opened, then nothing for %d s", load->open, load->count, OPENING_TIMEOUT);
        }
    }
}

void send_frame(struct load *load, struct client *client, enum opcode opcode, const uint8_t *payload,
                size_t length)
{
    static uint8_t packed[FRAME_PAYLOAD_MAX];
    unsigned kind = opcode;
    if (load->options.event && opcode == OPCODE_TEXT)
        payload = socketio_event(payload, &length);
    if (load->options.deflate && opcode == OPCODE_TEXT) {
        length = deflate_message(payload, length, packed, sizeof packed);
        payload = packed;
        kind |= FRAME_COMPRESSED;
    }
    write_frame(load, client, kind, payload, length);
}

void write_frame(struct load *load, struct client *client, unsigned kind, const uint8_t *payload, size_t length)
{
    static uint8_t buffer[FRAME_MAX];
    uint8_t key[4];
    /* xorshift: a key that differs each time (section 5.3 asks for more, no proxy is in the way here) */
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    memcpy(key, &load->random, 4);
    size_t size = frame_build(buffer, kind, payload, length, key);
    /* One message is in flight per socket, so it fits into the socket's buffer or something is wrong. */
    if (send(client->socket, buffer, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("socket %u: cannot send %zu bytes: %s", client->index, size, strerror(errno));
}

void close_all(struct load *load)
{
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 0xFF};
    for (size_t i = 0; i < load->count; i++) {
        if (load->read == read_websocket)
            send_frame(load, &load->clients[i], OPCODE_CLOSE, normal, sizeof normal);
        close(load->clients[i].socket);
    }
}
