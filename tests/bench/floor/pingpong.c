/* pingpong.c - the least that stop-and-wait can cost: so many bytes in datagrams with a TFTP header
 * from one process to another over loopback, each answered by four bytes before the next is sent.
 * Nothing is read, written or checked. Who waits asks again and again for SPIN_US microseconds
 * before it blocks; 0: it blocks at once. usage: pingpong BYTES BLKSIZE SPIN_US */
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEADER 4
#define BLKSIZE_MAX 65464

static char buf[HEADER + BLKSIZE_MAX];
static long long spin_ns;

static long long now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Two sockets, each connected to the other. */
static void open_pair(int s[2])
{
    struct sockaddr_in a[2];
    struct timeval patience = {.tv_sec = 5};
    socklen_t len = sizeof a[0];

    for (int i = 0; i < 2; i++) {
        s[i] = socket(AF_INET, SOCK_DGRAM, 0);
        a[i] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (s[i] < 0 || bind(s[i], (struct sockaddr *)&a[i], len) < 0 ||
            getsockname(s[i], (struct sockaddr *)&a[i], &len) < 0 ||
            setsockopt(s[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
            err(1, "socket");
    }
    for (int i = 0; i < 2; i++)
        if (connect(s[i], (struct sockaddr *)&a[!i], len) < 0)
            err(1, "connect");
}

static ssize_t receive(int s)
{
    long long end = spin_ns ? now() + spin_ns : 0;
    ssize_t n = -1;

    while (spin_ns && n < 0 && now() < end)
        n = recv(s, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0)
        n = recv(s, buf, sizeof buf, 0);
    if (n < 0)
        err(1, "recv");
    return n;
}

static void answer_all(int s)
{
    while (receive(s) > HEADER)
        if (send(s, buf, HEADER, 0) < 0)
            err(1, "send");
    exit(0);
}

int main(int argc, char **argv)
{
    int s[2], status;

    if (argc != 4)
        errx(2, "usage: pingpong BYTES BLKSIZE SPIN_US");
    long long left = atoll(argv[1]);
    size_t blksize = (size_t)atol(argv[2]);
    spin_ns = atoll(argv[3]) * 1000;
    if (left < 0 || blksize < 1 || blksize > BLKSIZE_MAX)
        errx(2, "block sizes are 1 to %d", BLKSIZE_MAX);
    open_pair(s);
    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0)
        answer_all(s[1]);
    for (size_t n; left > 0; left -= (long long)n) {
        n = left < (long long)blksize ? (size_t)left : blksize;
        if (send(s[0], buf, HEADER + n, 0) < 0)
            err(1, "send");
        receive(s[0]);
    }
    if (send(s[0], buf, HEADER, 0) < 0) /* no bytes: the end */
        err(1, "send");
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        errx(1, "the answering process failed");
    return 0;
}
