/* group: one socket speaks, all must hear it exactly once, then the next one speaks. */
#include <string.h>

#include "load.h"

enum { ROUND_TIMEOUT = 30 };

static uint32_t current; /* number of the round; the speaker is socket `current % sockets` */
static uint64_t spoken;  /* when its message left, in nanoseconds */

void on_delivery(struct load *load, struct client *client, const uint8_t *payload, size_t length)
{
    if (length != load->options.size || memcmp(payload, load->expected, length) != 0)
        die("socket %u: got something else than round %u's message", client->index, current);
    if (client->answered)
        die("socket %u: got round %u's message twice", client->index, current);
    client->answered = true;
    load->in_flight--;
    histogram_add(&load->latency, now() - spoken);
}

void begin_round(struct load *load)
{
    struct client *speaker = &load->clients[++current % load->options.sockets];
    for (size_t i = 0; i < load->options.sockets; i++)
        load->clients[i].answered = false;
    load->in_flight = load->options.sockets;
    stamp(load, load->expected, speaker->index, current);
    spoken = now();
    send_frame(load, speaker, OPCODE_TEXT, load->expected, load->options.size);
}

bool round_over(struct load *load)
{
    if (load->in_flight) {
        if (now() > spoken + ROUND_TIMEOUT * 1000000000ull)
            die("round %u never reached %zu of %zu sockets", current, load->in_flight,
                load->options.sockets);
        return false;
    }
    load->done++;
    return true;
}

static void one_round(struct load *load)
{
    begin_round(load);
    do
        poll_sockets(load, 100);
    while (!round_over(load));
}

void run_group(struct load *load)
{
    load->on_message = on_delivery;
    uint64_t end = now() + (uint64_t)(load->options.warmup * 1e9);
    do
        one_round(load);
    while (now() < end);

    memset(&load->latency, 0, sizeof load->latency);
    load->done = 0;
    struct reading from = read_clocks(load);
    end = from.time + (uint64_t)(load->options.seconds * 1e9);
    do
        one_round(load);
    while (window_open(load, end));
    report(load, "deliveries", load->done * load->options.sockets, from, read_clocks(load));
}
