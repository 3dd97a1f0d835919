#ifndef PORTCHECK_WAIT_H
#define PORTCHECK_WAIT_H

#include <stddef.h>

/* Milliseconds of the monotonic clock, which no change of the date can move. */
long long now_ms(void);

/* Reads seconds such as "5" or "0.25" into milliseconds and returns 1; 0 if text is anything
   else, shorter than a millisecond or longer than a day. */
int parse_seconds(const char *text, long long *milliseconds);

/* 1 if text is a port number from 1 to 65535. */
int is_port(const char *text);

/* Tries every address of host until a TCP connection to port succeeds or the clock reaches
   deadline, with a pause between rounds. Returns 0 on success, 1 when time is up; reason then
   says what the last attempt met. The name server's own time-out, a few seconds, may come on top. */
int wait_for_port(const char *host, const char *port, long long deadline, char *reason,
                  size_t size);

#endif
