/* What the machine can do at best: so many children, one after the other in each of some threads.
 * spawn_loop COUNT WORKERS PROGRAM
 */
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static char *program;
static long each;

static void *work(void *unused)
{
    char *argv[] = { program, NULL }, *envp[] = { NULL };
    for (long done = 0; done < each; done++) {
        pid_t pid;
        int status;
        if (posix_spawn(&pid, program, NULL, NULL, argv, envp) || waitpid(pid, &status, 0) != pid || status)
            exit(1);
    }
    return unused;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: spawn_loop COUNT WORKERS PROGRAM\n");
        return 2;
    }
    int workers = atoi(argv[2]);
    pthread_t threads[64];
    if (workers < 1 || workers > 64)
        return 2;
    program = argv[3];
    each = atol(argv[1]) / workers;
    for (int worker = 0; worker < workers; worker++)
        if (pthread_create(&threads[worker], NULL, work, NULL))
            return 1;
    for (int worker = 0; worker < workers; worker++)
        pthread_join(threads[worker], NULL);
    return 0;
}
