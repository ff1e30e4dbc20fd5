/* http: every connection has one request in flight; each answer must be 200, with its length and the body.
 *
 * Where the server says that it closes the connection (HTTP/1.1 can do without, but Gunicorn's sync worker
 * cannot) it has to do so, and a new one takes its place.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { HEAD_MAX = 8192, BUFFER = 1 << 16 };

static char request[4096];
static size_t request_size;

static void ask(struct load *load, struct client *client)
{
    client->sent = now();
    load->in_flight++;
    if (send(client->socket, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
        die("connection %u: cannot send the request: %s", client->index, strerror(errno));
}

/* Returns the size of the response in `data`, or 0 if it is not whole yet; clears `client->open` if it is the
 * last one of its connection. */
static size_t check_answer(const struct load *load, struct client *client, uint8_t *data, size_t size)
{
    static const char status[] = "HTTP/1.1 200", name[] = "\nContent-Length:";
    char *text = (char *)data, *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) {
        if (size > HEAD_MAX)
            die("connection %u: the head has no end", client->index);
        return 0;
    }
    *end = '\0';
    if (strncmp(text, status, sizeof status - 1) != 0)
        die("connection %u: answered %.*s", client->index, (int)strcspn(text, "\r\n"), text);
    const char *length = strcasestr(text, name);
    if (!length)
        die("connection %u: the answer has no Content-Length", client->index);
    if (strcasestr(text, "\nConnection: close"))
        client->open = false;
    size_t body = strtoul(length + sizeof name - 1, NULL, 10), head = (size_t)(end + 4 - text);
    *end = '\r'; /* it may have to be read again */
    if (size < head + body)
        return 0;
    const char *expected = load->options.body;
    if (body != strlen(expected) || memcmp(text + head, expected, body) != 0)
        die("connection %u: another body of %zu bytes", client->index, body);
    return head + body;
}

/* The server has closed the connection, as it had said it would. */
static void reopen(struct load *load, struct client *client)
{
    if (client->open || client->sent)
        die("connection %u: the server closed it", client->index);
    close(client->socket);
    client->socket = -1;
    load->open--;
    if (load->stop)
        return;
    open_one(load, client);
    ask(load, client);
}

static void read_http(struct load *load, struct client *client)
{
    static uint8_t buffer[BUFFER];
    ssize_t got = receive(client->socket, &client->pending, buffer, sizeof buffer);
    if (got < 0)
        return;
    if (got == 0) {
        reopen(load, client);
        return;
    }
    size_t size = (size_t)got, used = check_answer(load, client, buffer, size);
    if (!used) {
        keep(&client->pending, buffer, size);
        return;
    }
    if (used < size || !client->sent)
        die("connection %u: more came than was asked for", client->index);
    histogram_add(&load->latency, now() - client->sent);
    client->sent = 0;
    load->in_flight--;
    load->done++;
    if (!load->stop && client->open)
        ask(load, client);
}

void run_http(struct load *load)
{
    const struct options *options = &load->options;
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%ld\r\nAccept: */*\r\n\r\n",
                        options->path, options->host, options->port[0]);
    if (size < 0 || size >= (int)sizeof request)
        die("the request does not fit into %zu bytes", sizeof request);
    request_size = (size_t)size;
    load->read = read_http;
    for (size_t i = 0; i < options->sockets; i++)
        ask(load, &load->clients[i]);
    measure(load, "requests");
}
