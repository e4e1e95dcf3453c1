/* A PKCS#11 module whose tokens have a pad of their own: another module (REAL), but every token says that its PIN is typed
 * on the token, and a login is given no PIN: it is what lies in the file PAD, as if somebody typed it there. A login that is
 * given a PIN is refused, because a program that asks for one where there is a pad is wrong. Only what is changed has a name
 * here; the rest is found by its place in the list of functions (PKCS#11 2.40, 5.1). */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { GET_FUNCTION_LIST = 3, GET_TOKEN_INFO = 6, LOGIN = 18, FUNCTIONS = 68 };
enum { OK = 0, ARGUMENTS_BAD = 7, FUNCTION_CANCELED = 0x50, GENERAL_ERROR = 5 };
#define PROTECTED_AUTHENTICATION_PATH 0x100ul

struct list {
    unsigned char version[2];
    void (*functions[FUNCTIONS])(void);
};
typedef unsigned long (*get_function_list)(struct list **);
typedef unsigned long (*get_token_info)(unsigned long, unsigned char *);
typedef unsigned long (*login)(unsigned long, unsigned long, unsigned char *, unsigned long);

static struct list *real, ours;

static unsigned long token_info(unsigned long slot, unsigned char *info) {
    unsigned long flags, answer = ((get_token_info)real->functions[GET_TOKEN_INFO])(slot, info);
    /* After label, manufacturer, model and serial. */
    unsigned char *at = info + 32 + 32 + 16 + 16;
    if (answer == OK) {
        memcpy(&flags, at, sizeof flags);
        flags |= PROTECTED_AUTHENTICATION_PATH;
        memcpy(at, &flags, sizeof flags);
    }
    return answer;
}

static unsigned long log_in(unsigned long session, unsigned long user, unsigned char *pin, unsigned long length) {
    unsigned char typed[256];
    FILE *pad;
    if (pin != NULL || length != 0) return ARGUMENTS_BAD;
    if ((pad = fopen(PAD, "rb")) == NULL) return FUNCTION_CANCELED;
    length = fread(typed, 1, sizeof typed, pad);
    fclose(pad);
    return ((login)real->functions[LOGIN])(session, user, typed, length);
}

unsigned long C_GetFunctionList(struct list **list) {
    void *library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
    get_function_list get = library == NULL ? NULL : (get_function_list)dlsym(library, "C_GetFunctionList");
    if (get == NULL || get(&real) != OK) return GENERAL_ERROR;
    ours = *real;
    ours.functions[GET_FUNCTION_LIST] = (void (*)(void))C_GetFunctionList;
    ours.functions[GET_TOKEN_INFO] = (void (*)(void))token_info;
    ours.functions[LOGIN] = (void (*)(void))log_in;
    *list = &ours;
    return OK;
}
