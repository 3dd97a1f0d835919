/* portcheck waits until a TCP port accepts connections: an init container's whole job.
   It exits with 0 when the port answers, 1 when time is up, 2 when called wrongly. */

#define _POSIX_C_SOURCE 200809L

#include "wait.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char version[] = "portcheck 1.1.0\n";
static const char usage[] =
    "usage: portcheck HOST PORT [--timeout SECONDS] [--quiet]\n"
    "       portcheck --version | --help\n"
    "\n"
    "Waits until HOST accepts a TCP connection on PORT, for 30 seconds by default.\n"
    "HOST is a name or an address, PORT a number.\n";

/* The first process of a container dies of no signal that it does not handle. */
static void die(int signal)
{
    _exit(128 + signal);
}

static int wrong_usage(void)
{
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const char *operands[2] = {NULL, NULL};
    int count = 0, quiet = 0;
    long long timeout = 30000;

    struct sigaction ending = {.sa_handler = die};
    sigaction(SIGTERM, &ending, NULL);
    sigaction(SIGINT, &ending, NULL);

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0)
            return fputs(version, stdout) < 0;
        if (strcmp(argv[i], "--help") == 0)
            return fputs(usage, stdout) < 0;
        if (strcmp(argv[i], "--quiet") == 0)
            quiet = 1;
        else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc) {
            if (!parse_seconds(argv[++i], &timeout))
                return wrong_usage();
        } else if (argv[i][0] == '-' || count == 2)
            return wrong_usage();
        else
            operands[count++] = argv[i];
    }
    if (count != 2 || !is_port(operands[1]))
        return wrong_usage();

    char reason[128] = "";
    long long begun = now_ms();
    int failed = wait_for_port(operands[0], operands[1], begun + timeout, reason, sizeof reason);
    if (failed)
        fprintf(stderr, "portcheck: %s port %s: %s (waited %.1f s)\n", operands[0], operands[1],
                reason, (double)(now_ms() - begun) / 1000);
    else if (!quiet)
        printf("%s port %s: open after %.1f s\n", operands[0], operands[1],
               (double)(now_ms() - begun) / 1000);
    return failed;
}
