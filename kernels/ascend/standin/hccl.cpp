// Stands for libhccl.so beside the stand-in for ACL: processes of one machine, each with
// a device of its own, meet in shared memory. A transfer is a task of the stream that it
// is queued on, and holds it until the other side has come. Under another stand-in for
// ACL, which has no such tasks, the call itself waits.
//
//   g++ -std=c++17 -O2 -fPIC -shared -o libhccl.so hccl.cpp -ldl -lpthread -lrt
//
// What is wrong is an error that names it: a peer or a type that is none, memory that is
// no device's, a stream that is none, another count or type than the other side's, ranks
// that wait for each other in a circle, a send that nobody receives, two ranks of one
// device. HcclGetErrorString gives the text; of a transfer the stream has it.
//
//   STANDIN_HCCL_FAULT=CODE@WHERE,…  a call returns CODE
//   STANDIN_HCCL_HANG=WHERE,…        a transfer never ends
//   STANDIN_HCCL_DIE=WHERE,…         the process is killed there
//   STANDIN_HCCL_RANK=R              this befalls rank R alone
//   HCCL_CONNECT_TIMEOUT=120, HCCL_EXEC_TIMEOUT=1836  seconds, as of the real one
// WHERE is a call (its first) or CALL:N.
#include <csignal>
#include <ctime>
#include <dlfcn.h>
#include <map>

#include "hccl_segment.h"
#include "options.h"

using namespace hccl;
using standin::Options;
using standin::Where;

namespace {

// Codes of HcclResult.
enum { OK = 0, PARA = 1, PTR = 2, INTERNAL = 4, UNAVAILABLE = 7, SYSTEM = 8, TIMEOUT = 9, NO_FILE = 10 };
enum { LINK_ERROR = 507056, TASK_TIMEOUT = 507048 }; // of a stream
enum { FP32 = 4, UINT8 = 7, TYPES = 12 };

thread_local std::string last;
int say(int code, const std::string& text) { last = text; return code; }

struct Comm {
    Segment* shared;
    uint32_t rank, n;
    void* stream = nullptr; // of its first transfer
    std::atomic<int> queued{0};
    bool gone = false;
};

std::mutex lock; // what follows
std::map<std::string, uint64_t> calls;
std::vector<Comm*> comms; // that live

Comm* find(void* c)
{
    std::lock_guard<std::mutex> g(lock);
    for (auto* x : comms) if (x == c) return x;
    return nullptr;
}

struct Fate { int fault = OK; bool hangs = false; };

// fate counts a call of a rank, below 0 where it is not known yet, and says what befalls it.
Fate fate(const std::string& call, int rank)
{
    uint64_t n;
    { std::lock_guard<std::mutex> g(lock); n = ++calls[call]; }
    Fate f;
    std::string only = Options::text("STANDIN_HCCL_RANK", "");
    if (!only.empty() && atoi(only.c_str()) != rank) return f;
    auto here = [&](const std::string& text) { Where w = Where::parse(text); return w.kernel == call && w.n == n; };
    for (auto& x : Options::list("STANDIN_HCCL_DIE")) if (here(x)) raise(SIGKILL);
    for (auto& x : Options::list("STANDIN_HCCL_HANG")) if (here(x)) f.hangs = true;
    for (auto& x : Options::list("STANDIN_HCCL_FAULT")) {
        size_t at = x.find('@');
        if (at != std::string::npos && here(x.substr(at + 1))) f.fault = atoi(x.c_str());
    }
    return f;
}

// Functions of the stand-in for ACL, and of ACL; null where there are none.
template <typename F> F other(const char* name) { return (F)dlsym(RTLD_DEFAULT, name); }
int device()
{
    auto f = other<int (*)()>("standin_device");
    if (f) return f();
    auto get = other<int (*)(int32_t*)>("aclrtGetDevice");
    int32_t d = 0;
    return get && get(&d) != 0 ? -1 : d;
}

// meet is the part of all ways to make a communicator: it waits for all ranks.
int meet(const std::string& call, const std::string& name, uint32_t n, uint32_t rank, void** out)
{
    if (!out) return say(PTR, call + ": no place for the communicator");
    if (n == 0 || n > MOST || rank >= n) return say(PARA, call + ": rank " + std::to_string(rank) + " of " + std::to_string(n));
    int dev = device();
    if (dev < 0) return say(UNAVAILABLE, call + ": no device is set on this thread");
    std::string why;
    Segment* s = Segment::open(name, n, rank, dev, Options::number("HCCL_CONNECT_TIMEOUT", 120), why);
    if (!s) return say(why.find("not all") == 0 ? TIMEOUT : PARA, call + ": " + why);
    auto* c = new Comm;
    c->shared = s, c->rank = rank, c->n = n;
    std::lock_guard<std::mutex> g(lock);
    comms.push_back(c);
    *out = c;
    return OK;
}

struct Task { Comm* c; bool send, hangs; void* at; uint64_t count; int type; uint32_t peer; };

int run(void* ctx, char* why, size_t room)
{
    Task* t = (Task*)ctx;
    Message m{t->count, uint32_t(t->type), t->count * (t->type == FP32 ? 4 : 1)};
    std::string text;
    double limit = double(Options::number("HCCL_EXEC_TIMEOUT", 1836));
    int e = t->hangs ? t->c->shared->never(limit, text) : t->c->shared->move(t->c->rank, t->peer, t->send, t->at, m, limit, text);
    snprintf(why, room, "%s: %s", t->send ? "HcclSend" : "HcclRecv", text.c_str());
    t->c->queued--;
    delete t;
    return e == 0 ? 0 : e == TIMED_OUT ? TASK_TIMEOUT : LINK_ERROR;
}

int transfer(bool send, void* at, uint64_t count, int type, uint32_t peer, void* comm, void* stream)
{
    std::string call = send ? "HcclSend" : "HcclRecv";
    Comm* c = find(comm);
    if (!c) return say(PARA, call + ": the communicator is not there, or destroyed");
    Fate f = fate(call, int(c->rank));
    if (f.fault) return say(f.fault, call + ": injected");
    if (peer >= c->n) return say(PARA, call + ": rank " + std::to_string(peer) + " of " + std::to_string(c->n));
    if (peer == c->rank) return say(PARA, call + ": rank " + std::to_string(peer) + " is this one");
    if (type != FP32 && type != UINT8) return say(PARA, call + ": type " + std::to_string(type) + (type < 0 || type >= TYPES ? " is none" : " is not used here"));
    if (!at || count == 0) return say(PTR, call + ": no numbers");
    if (device() < 0) return say(UNAVAILABLE, call + ": no device is set on this thread");
    uint64_t bytes = count * (type == FP32 ? 4 : 1);
    auto holds = other<int (*)(const void*, size_t)>("standin_holds");
    if (holds && !holds(at, bytes)) return say(PARA, call + ": " + std::to_string(bytes) + " bytes are not within device memory");
    if (c->stream && c->stream != stream) return say(PARA, call + ": another stream than that of the transfers before");
    auto* t = new Task{c, send, f.hangs, at, count, type, peer};
    c->queued++;
    if (auto queue = other<int (*)(void*, int (*)(void*, char*, size_t), void*)>("standin_queue")) {
        if (queue(stream, run, t) != 0) {
            c->queued--;
            delete t;
            return say(PARA, call + ": not a stream");
        }
        c->stream = stream;
        return OK;
    }
    if (auto wait = other<int (*)(void*)>("aclrtSynchronizeStream")) wait(stream);
    char why[1000];
    return run(t, why, sizeof why) ? say(INTERNAL, why) : OK;
}

} // namespace

extern "C" {

struct HcclRootInfo { char text[4108]; };

int HcclGetRootInfo(HcclRootInfo* root)
{
    Fate f = fate("HcclGetRootInfo", 0);
    if (f.fault) return say(f.fault, "HcclGetRootInfo: injected");
    if (!root) return say(PTR, "HcclGetRootInfo: no place for it");
    if (device() < 0) return say(UNAVAILABLE, "HcclGetRootInfo: no device is set on this thread");
    static std::atomic<int> made{0};
    memset(root, 0, sizeof *root);
    snprintf(root->text, sizeof root->text, "/lorac-hccl-%d-%d-%ld", int(getpid()), ++made, long(time(nullptr)));
    return OK;
}

int HcclCommInitRootInfo(uint32_t n, const HcclRootInfo* root, uint32_t rank, void** comm)
{
    Fate f = fate("HcclCommInitRootInfo", int(rank));
    if (f.fault) return say(f.fault, "HcclCommInitRootInfo: injected");
    if (!root || strncmp(root->text, "/lorac-hccl-", 12)) return say(PARA, "HcclCommInitRootInfo: the root information is none of HcclGetRootInfo");
    return meet("HcclCommInitRootInfo", root->text, n, rank, comm);
}

int HcclCommInitClusterInfo(const char* table, uint32_t rank, void** comm)
{
    Fate f = fate("HcclCommInitClusterInfo", int(rank));
    if (f.fault) return say(f.fault, "HcclCommInitClusterInfo: injected");
    FILE* file = fopen(table, "r");
    if (!file) return say(NO_FILE, std::string("HcclCommInitClusterInfo: cannot open ") + table);
    std::string text;
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;) text.append(part, n);
    fclose(file);
    uint32_t ranks = 0;
    for (size_t at = 0; (at = text.find("\"rank_id\"", at)) != std::string::npos; at++) ranks++;
    if (text.find("\"completed\"") == std::string::npos || ranks == 0) return say(PARA, std::string("HcclCommInitClusterInfo: ") + table + " is no rank table");
    return meet("HcclCommInitClusterInfo", "/lorac-hccl-table-" + std::to_string(getppid()), ranks, rank, comm);
}

int HcclSend(void* at, uint64_t count, int type, uint32_t peer, void* comm, void* stream) { return transfer(true, at, count, type, peer, comm, stream); }
int HcclRecv(void* at, uint64_t count, int type, uint32_t peer, void* comm, void* stream) { return transfer(false, at, count, type, peer, comm, stream); }

int HcclGetRankSize(void* comm, uint32_t* n)
{
    Comm* c = find(comm);
    if (!c) return say(PARA, "HcclGetRankSize: the communicator is not there, or destroyed");
    *n = c->n;
    return OK;
}

int HcclGetRankId(void* comm, uint32_t* rank)
{
    Comm* c = find(comm);
    if (!c) return say(PARA, "HcclGetRankId: the communicator is not there, or destroyed");
    *rank = c->rank;
    return OK;
}

int HcclCommDestroy(void* comm)
{
    Comm* c = find(comm);
    if (!c) return say(PARA, "HcclCommDestroy: the communicator is not there, or destroyed");
    Fate f = fate("HcclCommDestroy", int(c->rank));
    if (f.fault) return say(f.fault, "HcclCommDestroy: injected");
    if (int n = c->queued) return say(INTERNAL, "HcclCommDestroy: " + std::to_string(n) + " transfers are not done");
    std::string why;
    if (c->shared->leave(c->rank, why)) return say(INTERNAL, "HcclCommDestroy: " + why);
    std::lock_guard<std::mutex> g(lock);
    for (auto it = comms.begin(); it != comms.end(); ++it)
        if (*it == c) { comms.erase(it); break; }
    return OK;
}

const char* HcclGetErrorString(int code)
{
    static thread_local std::string out;
    static const char* const names[] = {"success", "parameter error", "empty pointer", "memory error", "internal error", "not supported", "not found", "unavailable", "system call failed", "timeout", "cannot open the file"};
    out = code >= 0 && code <= 10 ? names[code] : "error " + std::to_string(code);
    if (!last.empty()) out += ": " + last;
    return out.c_str();
}
}
