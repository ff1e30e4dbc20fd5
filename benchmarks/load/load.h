/* The parts of the load generator: sockets, the window that is measured, and the four modes. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <time.h>

#include "../shared/common.h"
#include "../shared/frame.h"
#include "histogram.h"

/* Every message holds 8 hexadecimal digits for the sender and 8 for its sequence number. */
enum { STAMP = 16 };

enum { MAX_SERVERS = 64 };

/* How it waits when there is nothing to read.
 *
 * To wake a receiver that sleeps in epoll_wait costs the sender an interrupt to the other processor, 1.5 to
 * 4 us for each message, the more the slower the server is: it would be charged for how the generator waits.
 * So it never sleeps while it measures. Where the servers need its processor too it naps by the clock, which
 * nobody has to wake it from. Only if all have the same single processor does it sleep until something comes. */
enum waiting { SPINNING, NAPPING, SLEEPING };

struct options {
    const char *mode, *host, *path, *cookie, *origin;
    const char *source; /* the first address that sockets are opened from; NULL for any */
    const char *body; /* http: what every answer must hold */
    long port[MAX_SERVERS]; /* the sockets are opened at each of them in turn */
    size_t ports;
    size_t sockets;
    size_t probes; /* latency: so many more sockets */
    const char *probe_path;
    size_t size;        /* bytes of payload, at least STAMP */
    const char *text;   /* the payload, with STAMP zeros where it is to be stamped; NULL for letters */
    bool deflate;       /* every message is compressed, in both directions */
    const char *event;  /* of Socket.IO, as which every message travels; NULL without that */
    double warmup;      /* seconds before the window */
    double seconds;     /* length of the window, or the longest hold of `idle` */
    size_t count;       /* end the window early after so many messages or rounds */
    pid_t server[MAX_SERVERS]; /* whose processor time is read */
    size_t servers;
    enum waiting waiting;
};

struct client {
    int socket;
    uint32_t index;
    bool open;         /* the opening handshake is done */
    bool answered;     /* group: has this round's message; idle: its pong is back */
    uint32_t sequence; /* of the message in flight */
    uint64_t sent;     /* when that message left, in nanoseconds */
    struct pending pending;
};

struct load;
typedef void on_readable(struct load *, struct client *);
typedef void on_message(struct load *, struct client *, const uint8_t *payload, size_t length);

struct load {
    struct options options;
    int epoll;
    struct client *clients; /* those of `options.sockets` first, then the probes */
    size_t count;           /* of both */
    size_t open;
    size_t pongs, pinged; /* that came, and pings that were answered */
    bool stop;              /* idle: the word to stop has come */
    on_readable *read;       /* called for every socket that can be read */
    on_message *on_message; /* called for every text message that arrives */
    uint8_t *expected;      /* a payload, all but its stamp already written */
    size_t stamp_at;
    uint64_t random;
    size_t done, in_flight; /* messages or rounds in the window; messages under way */
    uint64_t idle, idle_since; /* nanoseconds in which nothing came; when that began again, or 0 */
    struct histogram latency;
};

/* What is read at both ends of the window. */
struct reading {
    uint64_t time;
    double busy;   /* seconds so far in which the generator had something to do */
    double server; /* processor seconds so far */
};

/* waiting.c */
int wait_for_events(struct load *load, struct epoll_event *events, int most, int milliseconds);
double busy_seconds(const struct load *load, uint64_t time);

/* options.c */
struct options parse_options(int argc, char **argv);

/* sockets.c */
void read_websocket(struct load *load, struct client *client);
void open_one(struct load *load, struct client *client);
void open_all(struct load *load);
void poll_sockets(struct load *load, int milliseconds);
void send_frame(struct load *load, struct client *client, enum opcode opcode, const uint8_t *payload,
                size_t length);
/* Without what --deflate and --event make of a message; `kind` is the opcode, with FRAME_COMPRESSED or not. */
void write_frame(struct load *load, struct client *client, unsigned kind, const uint8_t *payload, size_t length);
void close_all(struct load *load);
bool is_probe(const struct load *load, const struct client *client);

/* socketio.c */
void use_socketio(const char *event);
const uint8_t *socketio_event(const uint8_t *payload, size_t *length); /* to be sent at once */
on_message read_socketio; /* calls load->on_message for events */

/* main.c */
void stamp(const struct load *load, uint8_t *payload, uint32_t index, uint32_t sequence);
struct reading read_clocks(const struct load *load);
bool window_open(const struct load *load, uint64_t end);

/* Parts of a JSON object: a member, and the last members with the brace that ends it. */
void report_latency(const char *name, const struct histogram *latency);
void report_rate(size_t count, struct reading from, struct reading until);

/* The whole object. */
void report(const struct load *load, const char *counted, size_t count, struct reading from,
            struct reading until);

/* The window in which every socket has something in flight, then the last answers, and the report. */
void measure(struct load *load, const char *counted);

/* group.c: a round is one message to all `options.sockets`. */
on_message on_delivery;
void begin_round(struct load *load);
bool round_over(struct load *load); /* true once, when all have it */

/* idle.c: has the standard input polled: a line or its end sets load->stop. */
void listen_to_input(struct load *load);
void prove_alive(struct load *load); /* by a ping to each socket */

/* One file per mode. */
typedef void run_mode(struct load *load);
run_mode run_echo, run_group, run_http, run_idle, run_latency, run_many;

#endif
