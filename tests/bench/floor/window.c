/* window.c - the least that windows can cost: so many bytes in datagrams with a TFTP header from
 * one process to another over loopback, four bytes in answer to each window. Nothing is read,
 * written or checked. HOW: `gso` (segmentation offload both ways) or `mmsg` (sendmmsg, recvmmsg).
 * usage: window BYTES BLKSIZE WINDOW HOW */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <err.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define HEADER 4
#define DATAGRAM_MAX 65507
#define WINDOW_MAX 64
#define RCVBUF (4 << 20)

static char buf[WINDOW_MAX][65536];
static size_t size; /* of a datagram */
static unsigned window;
static bool gso;

static void open_pair(int s[2])
{
    struct sockaddr_in a[2];
    struct timeval patience = {.tv_sec = 5};
    socklen_t len = sizeof a[0];
    int room = RCVBUF, on = 1;

    for (int i = 0; i < 2; i++) {
        s[i] = socket(AF_INET, SOCK_DGRAM, 0);
        a[i] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (s[i] < 0 || bind(s[i], (struct sockaddr *)&a[i], len) < 0 ||
            getsockname(s[i], (struct sockaddr *)&a[i], &len) < 0 ||
            setsockopt(s[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0 ||
            setsockopt(s[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
            (gso && setsockopt(s[i], SOL_UDP, UDP_GRO, &on, sizeof on) < 0))
            err(1, "socket");
    }
    for (int i = 0; i < 2; i++)
        if (connect(s[i], (struct sockaddr *)&a[!i], len) < 0)
            err(1, "connect");
}

/* Waits for one datagram at least; returns the bytes of all that came. */
static size_t receive(int s)
{
    struct mmsghdr m[WINDOW_MAX];
    struct iovec iov[WINDOW_MAX];
    size_t bytes = 0;

    for (unsigned i = 0; i < window; i++) {
        iov[i] = (struct iovec){buf[i], sizeof buf[i]};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    int n = recvmmsg(s, m, window, MSG_WAITFORONE, NULL);
    if (n < 0)
        err(1, "recvmmsg");
    for (int i = 0; i < n; i++)
        bytes += m[i].msg_len;
    return bytes;
}

static void send_segmented(int s, unsigned n)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.align = {CMSG_LEN(sizeof(uint16_t)), SOL_UDP, UDP_SEGMENT}};
    struct iovec iov[WINDOW_MAX];
    struct msghdr m = {.msg_iov = iov, .msg_control = &control, .msg_controllen = sizeof control};
    uint16_t segment = (uint16_t)size;
    unsigned most = DATAGRAM_MAX / (unsigned)size;

    memcpy(CMSG_DATA(&control.align), &segment, sizeof segment);
    for (unsigned k; n > 0; n -= k) {
        k = n < most ? n : most;
        for (unsigned i = 0; i < k; i++)
            iov[i] = (struct iovec){buf[i], size};
        m.msg_iovlen = k;
        if (sendmsg(s, &m, 0) < 0)
            err(1, "sendmsg");
    }
}

static void send_window(int s, unsigned n)
{
    struct mmsghdr m[WINDOW_MAX];
    struct iovec iov[WINDOW_MAX];

    if (gso) {
        send_segmented(s, n);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){buf[i], size};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    for (unsigned done = 0; done < n;) {
        int k = sendmmsg(s, m + done, n - done, 0);
        if (k < 0)
            err(1, "sendmmsg");
        done += (unsigned)k;
    }
}

static void answer(int s, unsigned long long blocks)
{
    char ack[HEADER] = {0};

    for (unsigned long long left = blocks; left > 0;) {
        unsigned n = left < window ? (unsigned)left : window;
        for (size_t want = n * size; want > 0;)
            want -= receive(s);
        left -= n;
        if (send(s, ack, sizeof ack, 0) < 0)
            err(1, "send");
    }
    exit(0);
}

int main(int argc, char **argv)
{
    int s[2], status;

    if (argc != 5)
        errx(2, "usage: window BYTES BLKSIZE WINDOW gso|mmsg");
    size_t blksize = (size_t)atol(argv[2]);
    window = (unsigned)atoi(argv[3]);
    gso = strcmp(argv[4], "gso") == 0;
    size = HEADER + blksize;
    if (blksize < 1 || size > DATAGRAM_MAX || window < 1 || window > WINDOW_MAX)
        errx(2, "no such block size or window");
    unsigned long long blocks = (unsigned long long)atoll(argv[1]) / blksize + 1;
    open_pair(s);
    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0)
        answer(s[1], blocks);
    for (unsigned long long left = blocks; left > 0;) {
        unsigned n = left < window ? (unsigned)left : window;
        send_window(s[0], n);
        receive(s[0]);
        left -= n;
    }
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        errx(1, "the answering process failed");
    return 0;
}
