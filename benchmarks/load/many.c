/* many: holds more sockets than one address has ports for, one of several such programs at one server. A line
 * on its standard input is the word to say something that all sockets of all of them must hear; each program
 * tells when its own have heard it. When the input ends, each socket proves that it still lives.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

static uint64_t spoken, last; /* when the message left here; when it came last: CLOCK_MONOTONIC, 0 for never */

static void on_broadcast(struct load *load, struct client *client, const uint8_t *payload, size_t length)
{
    if (length != load->options.size || memcmp(payload, load->expected, length) != 0)
        die("socket %u: got something else than the message", client->index);
    if (client->answered)
        die("socket %u: got the message twice", client->index);
    client->answered = true;
    last = now();
    if (--load->in_flight == 0)
        printf("{\"event\": \"heard\", \"spoken\": %.6f, \"last\": %.6f}\n", (double)spoken / 1e9,
               (double)last / 1e9);
}

/* Holds the sockets until the standard input ends; a line of it is the word to speak. */
static void hold(struct load *load)
{
    char line[64];
    bool told = false;
    for (uint64_t end = now() + (uint64_t)(load->options.seconds * 1e9); !told && now() < end;) {
        poll_sockets(load, 100);
        if (!load->stop)
            continue;
        load->stop = false;
        told = read(STDIN_FILENO, line, sizeof line) <= 0;
        if (told)
            continue;
        spoken = now();
        send_frame(load, &load->clients[0], OPCODE_TEXT, load->expected, load->options.size);
    }
    if (load->in_flight)
        die("%zu of %zu sockets never heard the message", load->in_flight, load->options.sockets);
    if (!told)
        die("nobody said stop within %.0f s", load->options.seconds);
}

void run_many(struct load *load)
{
    stamp(load, load->expected, 0, 1); /* the same message in all of these programs */
    load->on_message = on_broadcast;
    load->in_flight = load->options.sockets;
    listen_to_input(load);
    hold(load);
    epoll_ctl(load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    size_t pinged = load->pinged;
    prove_alive(load);
    printf("{\"event\": \"result\", \"alive\": %zu, \"pinged\": %zu}\n", load->pongs, pinged);
}
