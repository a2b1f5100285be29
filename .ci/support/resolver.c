/* A resolver for tests, loaded before the system's (LD_PRELOAD): it answers the names that
 * LEVERET_TEST_NAMES lists, and passes all others to the system's resolver. An entry is
 * `name milliseconds address...`; `;` separates entries. The answer has these addresses, in this
 * order, after that delay.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolve(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int answer(char *entry, resolve *system_resolve, const char *service,
                  const struct addrinfo *hints, struct addrinfo **found)
{
    char *rest;
    struct addrinfo **end = found;
    *found = NULL;
    usleep((useconds_t)atoi(strtok_r(entry, " ", &rest)) * 1000);
    for (char *address; (address = strtok_r(NULL, " ", &rest)) != NULL;) {
        int error = system_resolve(address, service, hints, end);
        if (error != 0)
            return error;
        while (*end != NULL)
            end = &(*end)->ai_next;
    }
    return *found == NULL ? EAI_NONAME : 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    resolve *system_resolve = (resolve *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *names = getenv("LEVERET_TEST_NAMES");
    if (name == NULL || names == NULL)
        return system_resolve(name, service, hints, found);
    char *copy = strdup(names), *rest;
    size_t length = strlen(name);
    int error = -1, is_listed = 0;
    for (char *entry = strtok_r(copy, ";", &rest); entry != NULL; entry = strtok_r(NULL, ";", &rest)) {
        if (strncmp(entry, name, length) == 0 && entry[length] == ' ') {
            error = answer(entry + length + 1, system_resolve, service, hints, found);
            is_listed = 1;
            break;
        }
    }
    free(copy);
    return is_listed ? error : system_resolve(name, service, hints, found);
}
