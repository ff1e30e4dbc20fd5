/* The load generator: opens WebSockets (or, for http, connections) on the loopback, measures, and writes one
 * JSON object per line.
 *
 *   load echo|group|http|idle|latency --port PORT --path /PATH/ --sockets N [--size BYTES] [--seconds S] [--warmup S]
 *        [--count N] [--body TEXT] [--cookie TEXT] [--origin TEXT] [--host 127.0.0.1] [--server PID]
 *        [--waits spinning|napping|sleeping] [--text TEXT] [--deflate 0|1] [--event NAME]
 *        [--probes N] [--probe-path /PATH/]
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

enum { MAX_SOCKETS = 15000, MAX_PROBES = 1000, MAX_SECONDS = 60, MAX_COUNT = 100000000, DEFAULT_SIZE = 128 };

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

static double seconds_option(const char *option, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= MAX_SECONDS))
        die("%s must be seconds from 0 to %d, not \"%s\"", option, MAX_SECONDS, text);
    return value;
}

static enum waiting waiting_option(const char *option, const char *text)
{
    static const char *const ways[] = {[SPINNING] = "spinning", [NAPPING] = "napping", [SLEEPING] = "sleeping"};
    for (enum waiting way = SPINNING; way <= SLEEPING; way++)
        if (!strcmp(text, ways[way]))
            return way;
    die("%s must be spinning, napping or sleeping, not \"%s\"", option, text);
}

static const char *header_option(const char *option, const char *text)
{
    if (strpbrk(text, "\r\n"))
        die("%s must be one line", option);
    return text;
}

/* Counts one more of an option that may be given several times. */
static size_t another(const char *option, size_t *count)
{
    if (*count == MAX_SERVERS)
        die("%s may be given %d times", option, MAX_SERVERS);
    return (*count)++;
}

static void set_option(struct options *options, const char *name, const char *value)
{
    if (!strcmp(name, "--port"))
        options->port[another(name, &options->ports)] = number(name, value, 1, 65535);
    else if (!strcmp(name, "--sockets"))
        options->sockets = (size_t)number(name, value, 1, MAX_SOCKETS);
    else if (!strcmp(name, "--size"))
        options->size = (size_t)number(name, value, STAMP, FRAME_PAYLOAD_MAX);
    else if (!strcmp(name, "--count"))
        options->count = (size_t)number(name, value, 1, MAX_COUNT);
    else if (!strcmp(name, "--server"))
        options->server[another(name, &options->servers)] = (pid_t)number(name, value, 1, 1L << 22);
    else if (!strcmp(name, "--seconds"))
        options->seconds = seconds_option(name, value);
    else if (!strcmp(name, "--warmup"))
        options->warmup = seconds_option(name, value);
    else if (!strcmp(name, "--path"))
        options->path = header_option(name, value);
    else if (!strcmp(name, "--cookie"))
        options->cookie = header_option(name, value);
    else if (!strcmp(name, "--origin"))
        options->origin = header_option(name, value);
    else if (!strcmp(name, "--body"))
        options->body = value;
    else if (!strcmp(name, "--text"))
        options->text = value;
    else if (!strcmp(name, "--probes"))
        options->probes = (size_t)number(name, value, 1, MAX_PROBES);
    else if (!strcmp(name, "--probe-path"))
        options->probe_path = header_option(name, value);
    else if (!strcmp(name, "--event"))
        use_socketio(options->event = value);
    else if (!strcmp(name, "--deflate"))
        options->deflate = number(name, value, 0, 1);
    else if (!strcmp(name, "--waits"))
        options->waiting = waiting_option(name, value);
    else if (!strcmp(name, "--host"))
        options->host = value;
    else
        die("unknown option %s", name);
}

static struct options parse_options(int argc, char **argv)
{
    struct options options = {
        .host = "127.0.0.1", .path = "/", .probe_path = "/", .body = "", .size = DEFAULT_SIZE, .seconds = 1, .count = MAX_COUNT};
    if (argc < 2 || argc % 2)
        die("usage: load echo|group|http|idle|latency --port PORT --path /PATH/ --sockets N [--option VALUE]...");
    options.mode = argv[1];
    for (int i = 2; i < argc; i += 2)
        set_option(&options, argv[i], argv[i + 1]);
    if (!options.ports || !options.sockets)
        die("--port and --sockets are required");
    if (options.text)
        options.size = strlen(options.text);
    return options;
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

int main(int argc, char **argv)
{
    static struct load load;
    load.options = parse_options(argc, argv);
    const char *mode = load.options.mode;
    void (*run)(struct load *) = !strcmp(mode, "echo")    ? run_echo
                                 : !strcmp(mode, "group") ? run_group
                                 : !strcmp(mode, "http")  ? run_http
                                 : !strcmp(mode, "idle")  ? run_idle
                                 : !strcmp(mode, "latency") ? run_latency
                                                          : NULL;
    if (!run || (run == run_latency) != (load.options.probes > 0))
        die("unknown mode %s: use echo, group, http, idle or, with --probes, latency", mode);
    loopback(load.options.host, load.options.port[0]);
    /* Opening, warm-up, window and the last answers, each with a bound of its own, and then some. */
    bound_lifetime(4 * MAX_SECONDS);
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
