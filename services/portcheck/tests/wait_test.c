/* Built and run by hand or by CI: cc -Wall -Wextra -Werror -o t src/wait.c tests/wait_test.c && ./t */

#define _POSIX_C_SOURCE 200809L

#include "../src/wait.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int faults;

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "wrong: %s\n", what);
        faults++;
    }
}

static void test_parsing(void)
{
    long long ms = -1;
    check(parse_seconds("0.25", &ms) && ms == 250, "0.25 s is 250 ms");
    check(parse_seconds("86400", &ms) && ms == 86400000, "a day is allowed");
    const char *bad[] = {"", ".", "0", "0.0001", "-1", " 1", "1s", "1.2.3", "inf", "nan", "0x10", "86401"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(!parse_seconds(bad[i], &ms), bad[i]);
    check(is_port("1") && is_port("65535"), "the first and the last port");
    check(!is_port("0") && !is_port("65536") && !is_port("http") && !is_port("99999999999"),
          "ports that are none");
}

static void test_waiting(void)
{
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(server, (struct sockaddr *)&address, size) < 0 ||
        getsockname(server, (struct sockaddr *)&address, &size) < 0) {
        perror("bind");
        exit(1);
    }
    char port[8], reason[128] = "";
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));

    long long begun = now_ms();
    check(wait_for_port("127.0.0.1", port, begun + 300, reason, sizeof reason) == 1,
          "nobody listens yet");
    check(strcmp(reason, "Connection refused") == 0, reason);
    long long took = now_ms() - begun;
    check(took >= 300 && took < 5000, "waits as long as it was told");

    listen(server, 1);
    check(wait_for_port("127.0.0.1", port, now_ms() + 1000, reason, sizeof reason) == 0, "it listens");
    close(server);
    check(wait_for_port("name.invalid", port, now_ms() + 100, reason, sizeof reason) == 1,
          "an unknown name");
}

int main(void)
{
    test_parsing();
    test_waiting();
    return faults != 0;
}
