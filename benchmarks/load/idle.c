/* idle: opens the sockets, holds them until told to stop, and then proves that each one still lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { ALIVE_TIMEOUT = 30 /* seconds */ };

static void on_unasked(struct load *load, struct client *client, const uint8_t *payload, size_t length)
{
    (void)load, (void)payload;
    die("socket %u: a message of %zu bytes came unasked", client->index, length);
}

void listen_to_input(struct load *load)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event))
        die("standard input must be a pipe: a line or its end is the word to stop (%s)", strerror(errno));
}

void prove_alive(struct load *load)
{
    load->pongs = 0;
    for (size_t i = 0; i < load->options.sockets; i++) {
        load->clients[i].answered = false;
        send_frame(load, &load->clients[i], OPCODE_PING, (const uint8_t *)"alive", 5);
    }
    for (uint64_t end = now() + ALIVE_TIMEOUT * 1000000000ull; load->pongs < load->options.sockets;
         poll_sockets(load, 100))
        if (now() > end)
            die("only %zu of %zu sockets answered a ping", load->pongs, load->options.sockets);
}

void run_idle(struct load *load)
{
    listen_to_input(load);
    load->on_message = on_unasked;
    load->options.waiting = NAPPING; /* what is weighed now does not depend on it */
    uint64_t end = now() + (uint64_t)(load->options.seconds * 1e9);
    while (!load->stop && now() < end)
        poll_sockets(load, 100);
    if (!load->stop)
        die("nobody said stop within %.0f s", load->options.seconds);
    epoll_ctl(load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    prove_alive(load);
    printf("{\"event\": \"result\", \"alive\": %zu}\n", load->pongs);
}
