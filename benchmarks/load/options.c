/* What stands on the command line. */
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum {
    MAX_SOCKETS = 120000,
    MAX_PROBES = 1000,
    MAX_SECONDS = 300,
    MAX_COUNT = 100000000,
    DEFAULT_SIZE = 128,
};

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
    static const char *const ways[] = {
        [SPINNING] = "spinning", [NAPPING] = "napping", [SLEEPING] = "sleeping"};
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
    else if (!strcmp(name, "--source"))
        options->source = value;
    else if (!strcmp(name, "--host"))
        options->host = value;
    else
        die("unknown option %s", name);
}

struct options parse_options(int argc, char **argv)
{
    struct options options = {
        .host = "127.0.0.1",
        .path = "/",
        .probe_path = "/",
        .body = "",
        .size = DEFAULT_SIZE,
        .seconds = 1,
        .count = MAX_COUNT,
    };
    if (argc < 2 || argc % 2)
        die("usage: load echo|group|http|idle|latency|many --port PORT --path /PATH/ --sockets N"
            " [--option VALUE]...");
    options.mode = argv[1];
    for (int i = 2; i < argc; i += 2)
        set_option(&options, argv[i], argv[i + 1]);
    if (!options.ports || !options.sockets)
        die("--port and --sockets are required");
    if (options.text)
        options.size = strlen(options.text);
    return options;
}
