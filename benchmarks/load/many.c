/* many: holds more sockets than one address has ports for, one of several such programs at one server. When it
 * is told to, its first socket says something that all sockets of all of them must hear; when its standard input
 * ends, all its sockets must have heard it, and prove that they still live.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { HEARING_TIMEOUT = 60 /* seconds */ };

static uint64_t spoken, last; /* when the message left here; when it came last: CLOCK_MONOTONIC, 0 for never */

static void on_broadcast(struct load *load, struct client *client, const uint8_t *payload, size_t length)
{
    if (length != load->options.size || memcmp(payload, load->expected, length) != 0)
        die("socket %u: got something else than the message", client->index);
    if (client->answered)
        die("socket %u: got the message twice", client->index);
    client->answered = true;
    load->in_flight--;
    last = now();
}

/* Holds the sockets until the standard input ends; a line of it is the word to speak. */
static void hold(struct load *load)
{
    char line[64];
    for (uint64_t end = now() + (uint64_t)(load->options.seconds * 1e9); now() < end;) {
        poll_sockets(load, 100);
        if (!load->stop)
            continue;
        load->stop = false;
        if (read(STDIN_FILENO, line, sizeof line) <= 0)
            return;
        spoken = now();
        send_frame(load, &load->clients[0], OPCODE_TEXT, load->expected, load->options.size);
    }
    die("nobody said stop within %.0f s", load->options.seconds);
}

void run_many(struct load *load)
{
    size_t sockets = load->options.sockets;
    stamp(load, load->expected, 0, 1); /* the same message in all of these programs */
    load->on_message = on_broadcast;
    load->in_flight = sockets;
    listen_to_input(load);
    hold(load);
    epoll_ctl(load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    for (uint64_t end = now() + HEARING_TIMEOUT * 1000000000ull; load->in_flight; poll_sockets(load, 100))
        if (now() > end)
            die("%zu of %zu sockets never heard the message", load->in_flight, sockets);
    size_t pinged = load->pinged;
    prove_alive(load);
    printf("{\"event\": \"result\", \"alive\": %zu, \"pinged\": %zu, ", load->pongs, pinged);
    printf("\"spoken\": %.6f, \"last\": %.6f}\n", (double)spoken / 1e9, (double)last / 1e9);
}
