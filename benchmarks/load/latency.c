/* latency: how long an echo takes in a server that has nothing else to do, and in the same while a group is
 * being sent to, again and again, the next message when all have the last one.
 *
 * The probes speak in turn, by the clock, and an echo is timed from the moment at which it was due: one that
 * is late does not hide those that wait behind it. Probes come first and are looked after between any few
 * messages of the group. The gaps between these looks are reported: so much of a latency may be the generator's own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"

enum { EVERY = 2000000 /* nanoseconds */, AT_ONCE = 8, ECHO_TIMEOUT = 30 };

static struct phase {
    struct histogram latency, gaps;
} quiet, warm, loaded, *phase = &quiet;

static int probe_epoll;
static uint8_t *expected;
static uint64_t due, looked; /* when the next probe is to speak; when the probes were looked after */
static size_t speaker;       /* which of them that is */
static size_t waiting;       /* probes that have spoken and not heard */

static void send_echo(struct load *load, struct client *probe)
{
    probe->sent = due;
    waiting++;
    stamp(load, expected, probe->index, ++probe->sequence);
    send_frame(load, probe, OPCODE_TEXT, expected, load->options.size);
}

static void on_echo_or_delivery(struct load *load, struct client *client, const uint8_t *payload,
                                size_t length)
{
    if (!is_probe(load, client)) {
        on_delivery(load, client, payload, length);
        return;
    }
    stamp(load, expected, client->index, client->sequence);
    if (!client->sent || length != load->options.size || memcmp(payload, expected, length) != 0)
        die("probe %u: not the echo of message %u", client->index, client->sequence);
    histogram_add(&phase->latency, now() - client->sent);
    client->sent = 0;
    waiting--;
}

static void look_after_probes(struct load *load, bool speak)
{
    struct client *probe = &load->clients[load->options.sockets + speaker];
    struct epoll_event events[AT_ONCE];
    uint64_t time = now();
    histogram_add(&phase->gaps, time - looked);
    looked = time;
    if (speak && time >= due && !probe->sent) {
        send_echo(load, probe);
        due += EVERY;
        speaker = (speaker + 1) % load->options.probes;
    } else if (probe->sent && time > probe->sent + ECHO_TIMEOUT * 1000000000ull) {
        die("probe %u: no echo of message %u for %d s", probe->index, probe->sequence, ECHO_TIMEOUT);
    }
    int count = epoll_wait(probe_epoll, events, AT_ONCE, 0);
    if (count < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        read_websocket(load, events[i].data.ptr);
}

static void poll_few(struct load *load)
{
    struct epoll_event events[AT_ONCE];
    int count = wait_for_events(load, events, AT_ONCE, 1);
    for (int i = 0; i < count; i++)
        read_websocket(load, events[i].data.ptr);
}

/* Lets the probes speak for so long, with the group or without. Then all echoes come back, and at least one
 * round has to be over. */
static void run_phase(struct load *load, struct phase *now_in, double seconds, bool with_group)
{
    phase = now_in;
    due = looked = now();
    uint64_t end = due + (uint64_t)(seconds * 1e9);
    while (looked < end || waiting || (with_group && !load->done)) {
        look_after_probes(load, looked < end);
        poll_few(load);
        if (with_group && round_over(load))
            begin_round(load);
    }
}

static void set_probes_apart(struct load *load)
{
    probe_epoll = epoll_create1(0);
    expected = malloc(load->options.size);
    if (probe_epoll < 0 || !expected)
        die("out of memory");
    memcpy(expected, load->expected, load->options.size);
    for (size_t i = load->options.sockets; i < load->count; i++) {
        struct client *probe = &load->clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = probe};
        if (epoll_ctl(load->epoll, EPOLL_CTL_DEL, probe->socket, NULL) ||
            epoll_ctl(probe_epoll, EPOLL_CTL_ADD, probe->socket, &event))
            die("epoll_ctl: %s", strerror(errno));
    }
}

void run_latency(struct load *load)
{
    const struct options *options = &load->options;
    set_probes_apart(load);
    load->on_message = on_echo_or_delivery;
    run_phase(load, &warm, options->warmup, false);
    run_phase(load, &quiet, options->seconds, false);

    load->done = 0;
    begin_round(load);
    run_phase(load, &warm, options->warmup, true);
    load->done = 0;
    struct reading from = read_clocks(load);
    run_phase(load, &loaded, options->seconds, true);
    struct reading until = read_clocks(load);
    size_t rounds = load->done;
    while (!round_over(load))
        poll_few(load);

    printf("{\"event\": \"result\", \"rounds\": %zu, \"echoes\": %llu, ", rounds,
           (unsigned long long)loaded.latency.count);
    report_latency("quiet_ms", &quiet.latency);
    report_latency("loaded_ms", &loaded.latency);
    report_latency("gap_ms", &loaded.gaps);
    report_rate(rounds * options->sockets, from, until);
}
