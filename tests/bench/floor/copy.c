/* copy.c - the least that a file's way through a socket can cost: sendfile in one process, recv and
 * write in another, nothing checked. usage: copy SOURCE TARGET */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

static int listen_somewhere(struct sockaddr_in *a)
{
    socklen_t len = sizeof *a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)a, len) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)a, &len) < 0)
        err(1, "listen");
    return fd;
}

static void send_file(const char *path, const struct sockaddr_in *to)
{
    int in = open(path, O_RDONLY), s = socket(AF_INET, SOCK_STREAM, 0);
    struct stat sb;

    if (in < 0 || fstat(in, &sb) < 0)
        err(1, "%s", path);
    if (s < 0 || connect(s, (const struct sockaddr *)to, sizeof *to) < 0)
        err(1, "connect");
    for (off_t off = 0; off < sb.st_size;)
        if (sendfile(s, in, &off, (size_t)(sb.st_size - off)) <= 0)
            err(1, "sendfile");
    exit(0);
}

static void receive_file(int s, const char *path)
{
    char *buf = malloc(CHUNK);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ssize_t n;

    if (!buf || out < 0)
        err(1, "%s", path);
    while ((n = recv(s, buf, CHUNK, 0)) > 0)
        for (ssize_t done = 0, k; done < n; done += k)
            if ((k = write(out, buf + done, (size_t)(n - done))) <= 0)
                err(1, "write");
    if (n < 0)
        err(1, "recv");
    free(buf);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a;
    int status;

    if (argc != 3)
        errx(2, "usage: copy SOURCE TARGET");
    int listener = listen_somewhere(&a);
    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0)
        send_file(argv[1], &a);
    int s = accept(listener, NULL, NULL);
    if (s < 0)
        err(1, "accept");
    receive_file(s, argv[2]);
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        errx(1, "the sender failed");
    return 0;
}
