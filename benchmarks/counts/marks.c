/* The marks between which instructions are counted, as requests to the valgrind around us. */

#include <valgrind/callgrind.h>

/* Counts from here on; until now the program ran without being watched, which is much faster. */
void count_from_here(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

/* Writes down what was counted since the last mark, under a name. */
void mark(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
