/* The load generator: opens WebSockets (or, for http, connections) on the loopback, measures, and writes one
 * JSON object per line.
 *
 *   load echo|group|http|idle|latency|many --port PORT --path /PATH/ --sockets N
 *        [--size BYTES] [--seconds S] [--warmup S] [--count N] [--body TEXT] [--cookie TEXT]
 *        [--origin TEXT] [--host 127.0.0.1] [--server PID] [--text TEXT] [--deflate 0|1]
 *        [--event NAME] [--probes N] [--probe-path /PATH/] [--source 127.0.0.1]
 *        [--waits spinning|napping|sleeping]
 *
 * Several --port share the sockets in turn; of several --server the processor times are added.
 *
 * First {"event": "open"} when all sockets are open, then {"event": "result"}. Anything that is not as it
 * should be (a refused handshake, a changed, missing or repeated message) ends the program with status 1
 * and a sentence on standard error: there is no figure without proof that the work was done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"

enum { SPARE_SECONDS = 240 };

void stamp(const struct load *load, uint8_t *payload, uint32_t index, uint32_t sequence)
{
    static const char digits[] = "0123456789abcdef";
    payload += load->stamp_at;
    for (unsigned i = 0; i < 8; i++) {
        payload[i] = (uint8_t)digits[index >> (28 - 4 * i) & 15];
        payload[8 + i] = (uint8_t)digits[sequence >> (28 - 4 * i) & 15];
    }
}

struct reading read_clocks(const struct load *load)
{
    clockid_t server;
    struct reading reading = {.time = now()};
    reading.busy = busy_seconds(load, reading.time);
    for (size_t i = 0; i < load->options.servers; i++)
        if (!clock_getcpuclockid(load->options.server[i], &server))
            reading.server += seconds_on(server);
    return reading;
}

bool window_open(const struct load *load, uint64_t end)
{
    return now() < end && load->done < load->options.count;
}

void report_latency(const char *name, const struct histogram *latency)
{
    printf("\"%s\": {\"p50\": %.4f, \"p99\": %.4f, \"max\": %.4f}, ", name,
           (double)histogram_quantile(latency, 0.50) / 1e6,
           (double)histogram_quantile(latency, 0.99) / 1e6, (double)latency->largest / 1e6);
}

void report_rate(size_t count, struct reading from, struct reading until)
{
    double seconds = (double)(until.time - from.time) / 1e9;
    if (!count)
        die("nothing came back in the %.1f s that were measured", seconds);
    printf("\"seconds\": %.6f, \"per_second\": %.1f, ", seconds, (double)count / seconds);
    printf("\"generator_busy\": %.4f, \"server_busy\": %.4f, \"server_us\": %.4f}\n",
           (until.busy - from.busy) / seconds, (until.server - from.server) / seconds,
           (until.server - from.server) * 1e6 / (double)count);
}

void report(const struct load *load, const char *counted, size_t count, struct reading from,
            struct reading until)
{
    printf("{\"event\": \"result\", \"%s\": %zu, ", counted, count);
    report_latency("latency_ms", &load->latency);
    report_rate(count, from, until);
}

void measure(struct load *load, const char *counted)
{
    uint64_t end = now() + (uint64_t)(load->options.warmup * 1e9);
    while (now() < end)
        poll_sockets(load, 10);

    memset(&load->latency, 0, sizeof load->latency);
    load->done = 0;
    struct reading from = read_clocks(load);
    end = from.time + (uint64_t)(load->options.seconds * 1e9);
    while (window_open(load, end))
        poll_sockets(load, 10);
    struct reading until = read_clocks(load);
    size_t done = load->done;

    /* What is still under way is not counted, but it must arrive too. */
    load->stop = true;
    for (end = now() + 10000000000u; load->in_flight; poll_sockets(load, 10))
        if (now() > end)
            die("%zu %s never came back", load->in_flight, counted);
    report(load, counted, done, from, until);
}

/* What all messages have in common. */
static void write_payload(struct load *load)
{
    const struct options *options = &load->options;
    load->expected = malloc(options->size);
    if (!load->expected)
        die("out of memory");
    for (size_t i = 0; i < options->size; i++)
        load->expected[i] = options->text ? (uint8_t)options->text[i] : (uint8_t)('a' + i % 26);
    if (!options->text)
        return;
    const char *zeros = strstr(options->text, "0000000000000000");
    if (!zeros || options->size > FRAME_PAYLOAD_MAX)
        die("--text must hold %d zeros and %d bytes at most", STAMP, FRAME_PAYLOAD_MAX);
    load->stamp_at = (size_t)(zeros - options->text);
}

static void unasked_yet(struct load *load, struct client *client, const uint8_t *payload, size_t length)
{
    (void)load, (void)payload;
    die("socket %u: a message of %zu bytes came before anything was sent", client->index, length);
}

static const struct {
    const char *name;
    run_mode *run;
} modes[] = {{"echo", run_echo}, {"group", run_group},     {"http", run_http},
             {"idle", run_idle}, {"latency", run_latency}, {"many", run_many}};

static run_mode *find_mode(const struct options *options)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(options->mode, modes[i].name) && (modes[i].run == run_latency) == (options->probes > 0))
            return modes[i].run;
    die("unknown mode %s: use echo, group, http, idle, many or, with --probes, latency", options->mode);
}

int main(int argc, char **argv)
{
    static struct load load;
    load.options = parse_options(argc, argv);
    run_mode *run = find_mode(&load.options);
    loopback(load.options.host, load.options.port[0]);
    /* Warm-up and window, and what has a bound of its own: opening, the last answers. And then some. */
    bound_lifetime((unsigned)(load.options.warmup + load.options.seconds) + SPARE_SECONDS);
    load.count = load.options.sockets + load.options.probes;
    allow_sockets(load.count);
    load.epoll = epoll_create1(0);
    load.clients = calloc(load.count, sizeof *load.clients);
    if (load.epoll < 0 || !load.clients)
        die("out of memory");
    write_payload(&load);
    for (uint32_t i = 0; i < load.count; i++)
        load.clients[i].index = i;
    load.random = now() | 1;
    load.on_message = unasked_yet;
    load.read = run == run_http ? NULL : read_websocket;
    setvbuf(stdout, NULL, _IOLBF, 0);

    struct reading from = read_clocks(&load);
    open_all(&load);
    printf("{\"event\": \"open\", \"sockets\": %zu, ", load.open);
    report_rate(load.open, from, read_clocks(&load));
    run(&load);
    close_all(&load);
    return 0;
}
