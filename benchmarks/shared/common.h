/* What the load generator and the bare server share: errors, time, limits, loopback, buffered reading. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Prints "<program>: <message>" on standard error and exits with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now(void);

/* What a clock shows, in seconds; 0 if there is no such clock (any more). */
double seconds_on(clockid_t clock);

/* Reads a whole number between `low` and `high`, or dies naming the option. */
long number(const char *option, const char *text, long low, long high);

/* Makes the program end by itself: after `seconds`, and when its parent ends. */
void bound_lifetime(unsigned seconds);

/* Raises the limit of open files to what `sockets` need, or dies saying how. */
void allow_sockets(size_t sockets);

/* The address to use, or death: anything outside 127.0.0.0/8 is refused. */
struct sockaddr_in loopback(const char *host, long port);

/* No waiting, no Nagle: small messages leave when they are written. */
void tune(int socket);

/* What was received of a frame that is not whole yet; all zero at the start. */
struct pending {
    uint8_t *bytes;
    size_t size, capacity;
};

/* Reads once from `socket` into `buffer`, behind what is pending. Returns the number of bytes in the
 * buffer, 0 if the peer has closed or reset the connection, or -1 if there is nothing to read. */
ssize_t receive(int socket, struct pending *pending, uint8_t *buffer, size_t capacity);

/* Keeps the rest that `receive` will put in front of what comes next. */
void keep(struct pending *pending, const uint8_t *rest, size_t size);

#endif
