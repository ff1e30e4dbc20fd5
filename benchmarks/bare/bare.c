/* A server that does little but the system calls: the limit that the others are held against.
 *
 *   bare --port PORT [--host 127.0.0.1] [--seconds 120]
 *
 * One thread, one epoll loop. A socket opened at /echo/ gets back each message it sends; a message sent at
 * any other path goes to every socket opened there, framed once, and compressed once if it came compressed.
 * A request for anything but a WebSocket gets "Hello, world!". No fragments, no slow readers, no limits, and
 * all clients the same: what a server for real users must do besides is exactly what the comparison shows.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../shared/common.h"
#include "../shared/deflate.h"
#include "../shared/frame.h"
#include "sha1.h"

enum { BUFFER = 4 * FRAME_MAX, EVENTS = 512, BACKLOG = 4096, MAX_SOCKETS = 15000, NOT_A_MEMBER = -1 };

struct connection {
    int socket;
    bool open; /* the opening handshake is done */
    int member; /* index in `members`, or NOT_A_MEMBER */
    struct pending pending;
};

static struct connection *members[MAX_SOCKETS];
static int member_count;

static void drop(struct connection *connection)
{
    if (connection->member != NOT_A_MEMBER) {
        struct connection *last = members[--member_count];
        members[connection->member] = last;
        last->member = connection->member;
    }
    close(connection->socket);
    free(connection->pending.bytes);
    free(connection);
}

/* In a closed loop no reader is slow: a short write is answered by dropping that socket at its next event. */
static void write_all(struct connection *connection, const uint8_t *bytes, size_t size)
{
    if (send(connection->socket, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        shutdown(connection->socket, SHUT_RDWR);
}

/* Answers the opening handshake (RFC 6455 section 4.2.2), or a plain request. Returns the size of the request,
 * 0 if it is not whole yet, or -1 if it is not one. */
static ssize_t handshake(struct connection *connection, uint8_t *data, size_t size)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", name[] = "\r\nSec-WebSocket-Key:";
    static const char offer[] = "\r\nSec-WebSocket-Extensions: " DEFLATE_EXTENSION;
    const char *end = memmem(data, size, "\r\n\r\n", 4), *path = (const char *)data + 4;
    if (!end)
        return size < BUFFER / 2 ? 0 : -1;
    char *key = memmem(data, size, name, sizeof name - 1), text[24 + sizeof guid];
    if (!key) {
        static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!";
        write_all(connection, (const uint8_t *)hello, sizeof hello - 1);
        return end + 4 - (const char *)data;
    }
    if (memcmp(data, "GET /", 5) || member_count == MAX_SOCKETS)
        return -1;
    key += sizeof name - 1;
    key += strspn(key, " ");
    if (end - key < 24)
        return -1;
    memcpy(text, key, 24);
    memcpy(text + 24, guid, sizeof guid);
    char accept[SHA1_BASE64_SIZE], answer[512];
    sha1_base64(text, 24 + sizeof guid - 1, accept);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %s%s\r\n\r\n",
                          accept, memmem(data, size, offer, sizeof offer - 1) ? offer : "");
    write_all(connection, (uint8_t *)answer, (size_t)length);
    connection->open = true;
    if (strncmp(path, "/echo/", 6) != 0) {
        connection->member = member_count;
        members[member_count++] = connection;
    }
    return end + 4 - (const char *)data;
}

/* Frames a message for all; one that came compressed is read, and compressed anew as a server does that looks
 * at it. */
static size_t frame_for_all(uint8_t *out, const struct frame *frame, const uint8_t *payload)
{
    static uint8_t text[FRAME_PAYLOAD_MAX], packed[FRAME_PAYLOAD_MAX];
    if (!frame->compressed)
        return frame_build(out, frame->opcode, payload, frame->length, NULL);
    size_t size = inflate_message(payload, frame->length, text, sizeof text);
    if (size == SIZE_MAX)
        die("a compressed message is not whole");
    size = deflate_message(text, size, packed, sizeof packed);
    return frame_build(out, frame->opcode | FRAME_COMPRESSED, packed, size, NULL);
}

/* Handles one frame; appends what this socket is answered to `out` and returns its new size. */
static size_t answer(struct connection *connection, const struct frame *frame, uint8_t *payload,
                     uint8_t *out, size_t out_size)
{
    static uint8_t shared[FRAME_MAX];
    frame_mask(payload, frame->length, frame->key);
    if (frame->opcode == OPCODE_PONG)
        return out_size;
    if (frame->opcode == OPCODE_PING)
        return out_size + frame_build(out + out_size, OPCODE_PONG, payload, frame->length, NULL);
    if (frame->opcode == OPCODE_CLOSE || connection->member == NOT_A_MEMBER) {
        unsigned kind = frame->opcode | (frame->compressed ? FRAME_COMPRESSED : 0u);
        return out_size + frame_build(out + out_size, kind, payload, frame->length, NULL);
    }
    size_t size = frame_for_all(shared, frame, payload);
    for (int i = 0; i < member_count; i++)
        write_all(members[i], shared, size);
    return out_size;
}

/* Returns false if the connection is to be dropped. */
static bool read_frames(struct connection *connection)
{
    static uint8_t buffer[BUFFER], out[BUFFER];
    ssize_t size = receive(connection->socket, &connection->pending, buffer, sizeof buffer), used = 0;
    if (size <= 0)
        return size < 0;
    if (!connection->open && (used = handshake(connection, buffer, (size_t)size)) < 0)
        return false;
    struct frame frame;
    enum frame_status status = FRAME_INCOMPLETE;
    size_t out_size = 0;
    while (connection->open && (status = frame_parse(buffer + used, (size_t)(size - used), &frame)) ==
                                   FRAME_COMPLETE) {
        if (!frame.masked)
            return false;
        /* An answer is never longer than its frame, so `out` cannot overflow. */
        out_size = answer(connection, &frame, buffer + used + frame.header, out, out_size);
        used += (ssize_t)(frame.header + frame.length);
    }
    if (out_size)
        write_all(connection, out, out_size);
    keep(&connection->pending, buffer + used, (size_t)(size - used));
    return status != FRAME_ILLEGAL;
}

static void accept_waiting(int epoll, int listener)
{
    int socket;
    while ((socket = accept(listener, NULL, NULL)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (!connection)
            die("out of memory");
        tune(socket);
        connection->socket = socket;
        connection->member = NOT_A_MEMBER;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event))
            die("epoll_ctl: %s", strerror(errno));
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        die("accept: %s", strerror(errno));
}

static int listen_on(struct sockaddr_in address)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, BACKLOG))
        die("cannot listen: %s", strerror(errno));
    return listener;
}

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1";
    long port = 0, seconds = 120;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            die("usage: bare --port PORT [--host 127.0.0.1] [--seconds 120]");
        if (!strcmp(argv[i], "--host"))
            host = argv[i + 1];
        else if (!strcmp(argv[i], "--port"))
            port = number("--port", argv[i + 1], 1, 65535);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = number("--seconds", argv[i + 1], 1, 600);
        else
            die("unknown option %s", argv[i]);
    }
    if (!port)
        die("--port is required");
    bound_lifetime((unsigned)seconds);
    allow_sockets(MAX_SOCKETS);
    int listener = listen_on(loopback(host, port)), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
        die("epoll: %s", strerror(errno));
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection)
                accept_waiting(epoll, listener);
            else if (!read_frames(connection))
                drop(connection);
        }
    }
}
