/* How the generator waits for something to read, and how it knows that it is not the bottleneck. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "load.h"

enum { NAP = 500000 }; /* nanoseconds */

/* As epoll_wait, but it comes back at once with nothing unless it is sleeping. */
int wait_for_events(struct load *load, struct epoll_event *events, int most, int milliseconds)
{
    enum waiting waiting = load->options.waiting;
    uint64_t asked = now();
    int count = epoll_wait(load->epoll, events, most, waiting == SLEEPING ? milliseconds : 0);
    if (count < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    if (count > 0) {
        if (load->idle_since)
            load->idle += asked - load->idle_since;
        load->idle_since = 0;
        return count;
    }
    if (!load->idle_since)
        load->idle_since = asked;
    if (waiting == NAPPING)
        nanosleep(&(struct timespec){.tv_nsec = NAP}, NULL);
    return 0;
}

/* Spinning takes all of the processor's time, so what counts is the time by the clock outside of polls that
 * returned nothing. What sleeps uses processor time only when it has something to do. */
double busy_seconds(const struct load *load, uint64_t time)
{
    if (load->options.waiting != SPINNING)
        return seconds_on(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t idle = load->idle + (load->idle_since ? time - load->idle_since : 0);
    return (double)(time - idle) / 1e9;
}
