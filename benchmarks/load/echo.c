/* echo: every socket has one message in flight; what comes back must be what was sent. */
#include <string.h>

#include "load.h"

static void send_next(struct load *load, struct client *client)
{
    client->sequence++;
    stamp(load, load->expected, client->index, client->sequence);
    client->sent = now();
    load->in_flight++;
    send_frame(load, client, OPCODE_TEXT, load->expected, load->options.size);
}

static void on_echo(struct load *load, struct client *client, const uint8_t *payload, size_t length)
{
    stamp(load, load->expected, client->index, client->sequence);
    if (length != load->options.size || memcmp(payload, load->expected, length) != 0)
        die("socket %u: message %u came back changed", client->index, client->sequence);
    if (!client->sent)
        die("socket %u: message %u came back twice", client->index, client->sequence);
    histogram_add(&load->latency, now() - client->sent);
    client->sent = 0;
    load->in_flight--;
    load->done++;
    if (!load->stop)
        send_next(load, client);
}

void run_echo(struct load *load)
{
    load->on_message = on_echo;
    for (size_t i = 0; i < load->options.sockets; i++)
        send_next(load, &load->clients[i]);
    measure(load, "messages");
}
