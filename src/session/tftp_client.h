/* tftp_client.h - put and get over UDP: files in turn, each begun anew after a loss. */
#ifndef XFER_SESSION_TFTP_CLIENT_H
#define XFER_SESSION_TFTP_CLIENT_H

#include "session/dest.h"
#include "session/tftp_exchange.h"

/* Whether these remotes are reached over UDP. */
bool tftp_is_meant(const struct xfer_copy_opts *o, const struct remote *r);

/* Whether TFTP can do what is asked; -XFER_EUSAGE with a static text. */
int tftp_check(const struct xfer_copy_opts *o, bool put, const char **why);

/* Gets files of one server, one after the other; what becomes of them is told to the tally. */
void tftp_get(const struct xfer_copy_opts *o, struct tally *t, struct dest *d, struct seen *names,
              const struct remote *remotes, size_t n, int64_t deadline);

/* Puts files, one after the other; what becomes of them is told to the tally. */
void tftp_put(const struct xfer_copy_opts *o, struct tally *t, const char *const *sources, size_t n,
              const struct remote *to, int64_t deadline);

/* ---- for the two of them ---- */

int tftp_peer_init(struct tftp_peer *p, struct copy *c);

/* Counts the attempts at one file. */
struct tftp_tries {
    unsigned attempts; /* since it last got further */
    unsigned changed;  /* of a source that changed while it was read */
    uint64_t reached;
    bool plain; /* without options */
};

/* After an attempt that failed with err: 0 to try again, after a wait, or the error that stays. */
int tftp_again(struct tftp_peer *p, struct tftp_tries *t, int err, const struct tftp_exchange *x);

/* The name of a path as it is asked for; TFTP_NAME_MAX bytes. Returns out. */
#define TFTP_NAME_MAX (PATH_CLEAN_MAX + 2)
char *tftp_remote_name(const struct remote *r, const char *path, char *out);

/* Tells that a file has moved, and frees the job. */
void tftp_report(struct tftp_exchange *x, struct job *j, uint64_t bytes, bool verified,
                 const uint8_t sha256[DIGEST_LEN]);

#endif
