#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

double seconds_on(clockid_t clock)
{
    struct timespec time = {0};
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

long number(const char *option, const char *text, long low, long high)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high)
        die("%s must be a whole number from %ld to %ld, not \"%s\"", option, low, high, text);
    return value;
}

void bound_lifetime(unsigned seconds)
{
    /* SIGALRM's default action ends the process, wherever it may hang. */
    alarm(seconds);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
}

void allow_sockets(size_t sockets)
{
    struct rlimit limit;
    rlim_t needed = sockets + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        die("cannot read the limit of open files: %s", strerror(errno));
    if (limit.rlim_cur >= needed)
        return;
    if (limit.rlim_max < needed)
        die("%zu sockets need a higher limit of open files: ulimit -Hn says %llu", sockets,
            (unsigned long long)limit.rlim_max);
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("cannot raise the limit of open files: %s", strerror(errno));
}

struct sockaddr_in loopback(const char *host, long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        die("\"%s\" is not an IPv4 address", host);
    if (ntohl(address.sin_addr.s_addr) >> 24 != 127)
        die("%s is outside 127.0.0.0/8: this program talks to the loopback only", host);
    return address;
}

void tune(int socket)
{
    int on = 1;
    if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK) < 0)
        die("cannot set socket options: %s", strerror(errno));
}

ssize_t receive(int socket, struct pending *pending, uint8_t *buffer, size_t capacity)
{
    size_t size = pending->size;
    if (size)
        memcpy(buffer, pending->bytes, size);
    ssize_t got = recv(socket, buffer + size, capacity - size, 0);
    if (got > 0) {
        pending->size = 0;
        return (ssize_t)size + got;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    return 0;
}

void keep(struct pending *pending, const uint8_t *rest, size_t size)
{
    if (size > pending->capacity) {
        free(pending->bytes);
        pending->bytes = malloc(size);
        if (!pending->bytes)
            die("out of memory");
        pending->capacity = size;
    }
    if (size)
        memcpy(pending->bytes, rest, size);
    pending->size = size;
}
