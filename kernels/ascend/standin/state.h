// What the functions of acl.cpp share.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "memory.h"
#include "options.h"
#include "stream.h"

using namespace standin;

// A function that an older CANN may lack: dlsym finds none when STANDIN_LACKS names it.
#define MAYBE(ret, name, ...)                                                                                       \
    static ret name##_here(__VA_ARGS__);                                                                            \
    static ret (*name##_resolve())(__VA_ARGS__) { return Options::lacks(#name) ? nullptr : name##_here; }           \
    ret name(__VA_ARGS__) __attribute__((ifunc(#name "_resolve")));                                                 \
    static ret name##_here(__VA_ARGS__)

namespace {

struct Library {
    int (*has)(const char*);
    void (*allocated)(void*, size_t);
    void (*freed)(void*);
    int (*launch)(const char*, uint32_t, const void*, size_t, char*, size_t);
};
struct Function { Library* lib; std::string name; };
struct Event { std::mutex m; std::condition_variable c; bool recorded = true; std::chrono::steady_clock::time_point at; };
struct Exception { uint32_t task, stream, thread, device, code; };

thread_local std::string last; // ACL's text of this thread
thread_local int device = -1;
thread_local uint32_t last_task = 0;
thread_local struct { Function* func; std::vector<uint8_t> bytes; bool done; } args; // one list a thread, as the runtime has it
bool ready = false;
Memory memory;
Pinned pinned;
std::mutex lock; // what follows
std::vector<Library*> libraries;
std::vector<Function*> functions;
void (*on_exception)(Exception*) = nullptr;
uint32_t tasks = 0;
int streams = 0;
std::set<void*> live; // streams

void forget(void* s) { std::lock_guard<std::mutex> g(lock); live.erase(s); }

int say(int code, const std::string& text) { last = text; return code; }

void log(const std::string& line)
{
    if (options().log.empty()) return;
    std::lock_guard<std::mutex> g(lock);
    if (FILE* f = fopen(options().log.c_str(), "a")) fprintf(f, "%s\n", line.c_str()), fclose(f);
}

// enter is what every call on a device begins with.
int enter(const char* call)
{
    log(call);
    if (!ready) return say(NOT_INITIALISED, std::string(call) + ": aclInit was not called");
    if (device < 0) return say(NO_CONTEXT, std::string(call) + ": no device is set on this thread");
    if (launches().lost()) return say(LOST, std::string(call) + ": the device lost its heartbeat");
    return OK;
}
#define ENTER if (int e = enter(__func__)) return e

enum { HOST_TO_HOST, TO_DEVICE, TO_HOST, ON_DEVICE };

int check_copy(const char* call, void* to, size_t room, const void* from, size_t n, int kind)
{
    std::string c = std::string(call) + ": ";
    if (n > room) return say(INVALID, c + "more bytes than the destination has");
    if ((kind == TO_DEVICE || kind == ON_DEVICE) && !memory.holds(to, n)) return say(INVALID, c + "the destination is not device memory");
    if ((kind == TO_HOST || kind == ON_DEVICE) && !memory.holds(from, n)) return say(INVALID, c + "the source is not device memory");
    return OK;
}

} // namespace
