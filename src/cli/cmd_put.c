#include "config.h"

#include "cli/transfer.h"

static int sort_operands(const struct cmd *self, const struct operands *ops,
                         struct transfer_job *job)
{
    int status = 0;

    *job = (struct transfer_job){.put = true};
    if (ops->n < 2)
        return cmd_wrong(self, "%s",
                         ops->n == 0 ? "needs a file and a remote such as nas:/dir/"
                                     : "needs a file before the remote");
    for (size_t i = 0; i < ops->n; i++) {
        bool last = i == ops->n - 1;
        bool tftp;
        int remote = client_is_remote(self, ops->items[i], &tftp, &status);

        job->tftp |= tftp;
        if (remote < 0)
            return status;
        if (last && remote == 0)
            return cmd_wrong(self, "the last name must be a remote such as nas:/dir/");
        if (!last && remote == 1)
            return cmd_wrong(self,
                             "only the last name can be a remote; write ./NAME for a local file");
    }
    job->sources = ops->items;
    job->n = ops->n - 1;
    job->dest = ops->items[ops->n - 1];
    return -1;
}

static int run(const struct cmd *self, int argc, char **argv)
{
    return transfer_main(self, argc, argv, sort_operands);
}

const struct cmd cmd_put = {.name = "put",
                            .operands = "FILE... REMOTE",
                            .summary = "Send files to a server; FILE - is standard input",
                            .tables = transfer_tables,
                            .run = run};
