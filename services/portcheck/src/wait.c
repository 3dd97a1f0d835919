#define _POSIX_C_SOURCE 200809L

#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 200, ATTEMPT_MS = 3000, DAY_MS = 24 * 60 * 60 * 1000 };

long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int parse_seconds(const char *text, long long *milliseconds)
{
    /* strtod alone would also take spaces, "inf", "nan" and "0x1p3". */
    if (text[0] == '\0' || strspn(text, "0123456789.") != strlen(text))
        return 0;
    char *end;
    double seconds = strtod(text, &end);
    if (*end != '\0' || end == text || seconds * 1000 < 1 || seconds * 1000 > DAY_MS)
        return 0;
    *milliseconds = (long long)(seconds * 1000);
    return 1;
}

int is_port(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
        return 0;
    int port = atoi(text);
    return port >= 1 && port <= 65535;
}

static int left_ms(long long deadline)
{
    long long left = deadline - now_ms();
    return left < 0 ? 0 : (int)(left > DAY_MS ? DAY_MS : left);
}

/* Returns 0 or an errno; ETIMEDOUT when the deadline comes first, or three seconds pass: an
   address that swallows packets must not use up the time of the next one. */
static int try_connect(const struct addrinfo *address, long long deadline)
{
    int handle = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (handle < 0)
        return errno;
    if (deadline > now_ms() + ATTEMPT_MS)
        deadline = now_ms() + ATTEMPT_MS;
    int error = 0;
    int flags = fcntl(handle, F_GETFL);
    if (flags < 0 || fcntl(handle, F_SETFL, flags | O_NONBLOCK) < 0) {
        error = errno;
    } else if (connect(handle, address->ai_addr, address->ai_addrlen) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            struct pollfd wanted = {.fd = handle, .events = POLLOUT};
            int ready;
            while ((ready = poll(&wanted, 1, left_ms(deadline))) < 0 && errno == EINTR)
                continue;
            socklen_t size = sizeof error;
            if (ready < 0)
                error = errno;
            else if (ready == 0)
                error = ETIMEDOUT;
            else if (getsockopt(handle, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        }
    }
    close(handle);
    return error;
}

/* Returns 0 when one address answered. Names are looked up in every round: the record of a
   service that is just starting may not be there in the first. */
static int one_round(const char *host, const char *port, long long deadline, char *reason,
                     size_t size)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int failed = getaddrinfo(host, port, &hints, &addresses);
    if (failed != 0) {
        snprintf(reason, size, "%s", failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
        return 1;
    }
    int error = EADDRNOTAVAIL;
    for (const struct addrinfo *one = addresses; one != NULL; one = one->ai_next) {
        error = try_connect(one, deadline);
        if (error == 0)
            break;
    }
    freeaddrinfo(addresses);
    if (error != 0)
        snprintf(reason, size, "%s", strerror(error));
    return error != 0;
}

int wait_for_port(const char *host, const char *port, long long deadline, char *reason,
                  size_t size)
{
    for (;;) {
        if (one_round(host, port, deadline, reason, size) == 0)
            return 0;
        int left = left_ms(deadline);
        if (left == 0)
            return 1;
        int pause = left < PAUSE_MS ? left : PAUSE_MS;
        struct timespec rest = {.tv_nsec = pause * 1000000L};
        nanosleep(&rest, NULL);
    }
}
