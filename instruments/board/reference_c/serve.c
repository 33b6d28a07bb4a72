/* The board with its step cells behind a TCP socket of this machine, for the test: serve [--realtime] prints its port. */
#define _POSIX_C_SOURCE 200809L
#include "step_cells.h"
#include "xb_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static xb_board board;
static step_cells cells;
static int client = -1;
static uint8_t unsent[1 << 16];
static size_t held;

static uint64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void sleep_us(uint64_t us) {
    struct timespec t = {(time_t)(us / 1000000u), (long)(us % 1000000u) * 1000L};
    while (nanosleep(&t, &t) && errno == EINTR) continue;
}

static void flush(void) {
    for (size_t done = 0; client >= 0 && done < held;) {
        ssize_t sent = send(client, unsent + done, held - done, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            struct pollfd ready = {client, POLLOUT, 0};
            if (poll(&ready, 1, 5000) <= 0) break; /* a client that does not read is lost */
            continue;
        }
        if (sent <= 0) break;
        done += (size_t)sent;
    }
    held = 0;
}

static void queue(const uint8_t *bytes, size_t count) {
    while (count) {
        size_t some = sizeof unsent - held < count ? sizeof unsent - held : count;
        memcpy(unsent + held, bytes, some);
        held += some, bytes += some, count -= some;
        if (held == sizeof unsent) flush();
    }
}

static void lose(void) {
    close(client);
    client = -1;
    held = 0;
    xb_client_lost(&board);
}

int main(int count, char **arguments) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    static uint8_t bytes[1 << 16];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4) ||
        getsockname(listener, (struct sockaddr *)&here, &size))
        return perror("serve"), 1;
    cells.realtime = count > 1 && !strcmp(arguments[1], "--realtime");
    cells.now_us = clock_us;
    cells.sleep_us = sleep_us;
    cells.send = queue;
    if (xb_init(&board, &STEP_CAPS, &STEP_CALLS, &cells)) return 1;
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (;;) {
        int more = xb_poll(&board);
        flush();
        struct pollfd ready[3] = {{listener, POLLIN, 0}, {0, POLLIN | POLLHUP, 0}, {client, POLLIN, 0}};
        if (poll(ready, client < 0 ? 2 : 3, more ? 0 : 100) < 0 && errno != EINTR) return 1;
        if (ready[1].revents) { /* whoever started it has closed its input: the end */
            if (read(0, bytes, sizeof bytes) <= 0) return 0;
        }
        if (client >= 0 && ready[2].revents) { /* before another is taken: this one may have closed */
            ssize_t got = recv(client, bytes, sizeof bytes, 0);
            if (got > 0)
                xb_feed(&board, bytes, (size_t)got);
            else if (got == 0 || (errno != EAGAIN && errno != EINTR))
                lose();
            flush();
        }
        if (ready[0].revents & POLLIN) {
            int other = accept(listener, 0, 0);
            if (other >= 0 && client >= 0)
                close(other); /* one client at a time */
            else if (other >= 0) {
                client = other;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                fcntl(client, F_SETFL, O_NONBLOCK);
            }
        }
    }
}
