// Stands for libascendcl.so on a machine without a device: the same symbols, the
// same order of things; kernels come from a library of four C functions:
//   int twin_has(const char* name)
//   void twin_allocated(void* at, size_t bytes), void twin_freed(void* at)
//   int twin_launch(const char* name, uint32_t blocks, const void* args, size_t bytes, char* why, size_t room)
// A fault of a kernel comes out at the next synchronise, as 507015.
//
//   g++ -std=c++17 -O2 -fPIC -shared -o libascendcl.so acl.cpp -ldl -lpthread
//
// aclInit reads what else it pretends from the environment:
//   STANDIN_SOC=Ascend910B3     name of the chip
//   STANDIN_CUBES=20            cube cores, STANDIN_VECTORS=40 vector cores
//   STANDIN_DEVICES=1           devices; may be 0
//   STANDIN_HBM=68719476736     bytes of memory of a device; more gives 207001; STANDIN_OOM=N: so does the N-th aclrtMalloc
//   STANDIN_CANN=9.1.0          version of CANN
//   STANDIN_FAULT=CODE@WHERE,…  a launch fails with CODE: 507015 cube core exception, 507035 vector core exception, 507054 ECC, …
//   STANDIN_HANG=WHERE,…        a launch never ends; a wait with a time limit gives 507046
//   STANDIN_LOST=N              from the N-th launch on every call gives 507010; STANDIN_LOST_COPY=N: from the N-th aclrtMemcpy on
//   STANDIN_LACKS=NAME,…        functions that this CANN does not have, of those declared MAYBE below
//   STANDIN_LOG=FILE            every call is added to FILE, a line each
// WHERE is N (the N-th launch of all, from 1), KERNEL (its first) or KERNEL:N.
#include <dlfcn.h>

#include "state.h"

using namespace standin;

extern "C" {

int aclInit(const char*)
{
    if (ready) return say(INITIALISED_TWICE, "aclInit was called before");
    options().read();
    launches().reset();
    log("aclInit");
    ready = true;
    return OK;
}
int aclFinalize() { log("aclFinalize"); ready = false; return OK; }
const char* aclGetRecentErrMsg() { thread_local std::string out; out = last; last.clear(); return out.empty() ? nullptr : out.c_str(); }
const char* aclrtGetSocName() { return options().soc.c_str(); }
MAYBE(int, aclrtGetVersion, int32_t* major, int32_t* minor, int32_t* patch) { *major = 1, *minor = 15, *patch = 0; return OK; }
struct Version { char version[128], major[64], minor[64], release[64], patch[64], reserved[128]; };
MAYBE(int, aclsysGetCANNVersion, int, Version* v) { memset(v, 0, sizeof *v); snprintf(v->version, sizeof v->version, "%s", options().cann.c_str()); return OK; }

int aclrtGetDeviceCount(uint32_t* n)
{
    if (!ready) return say(NOT_INITIALISED, "aclrtGetDeviceCount: aclInit was not called");
    *n = options().devices;
    return OK;
}
int aclrtSetDevice(int32_t d)
{
    log("aclrtSetDevice " + std::to_string(d));
    if (!ready) return say(NOT_INITIALISED, "aclrtSetDevice: aclInit was not called");
    if (d < 0 || uint32_t(d) >= options().devices) return say(NO_SUCH_DEVICE, "Set device failed, invalid device, device_id=" + std::to_string(d));
    device = d;
    return OK;
}
int aclrtResetDevice(int32_t) // what the program did not free or unload goes too
{
    log("aclrtResetDevice");
    device = -1;
    std::lock_guard<std::mutex> g(lock);
    memory.each([](void* p, size_t) { for (auto* l : libraries) l->freed(p); });
    memory.clear();
    libraries.clear();
    return OK;
}
MAYBE(int, aclrtSetDeviceSatMode, int mode) { log("aclrtSetDeviceSatMode " + std::to_string(mode)); return mode == 0 || mode == 1 ? OK : say(INVALID, "aclrtSetDeviceSatMode: no such mode"); }
MAYBE(int, aclrtGetDeviceInfo, uint32_t, int attr, int64_t* v)
{
    switch (attr) {
    case 101: case 102: *v = options().cubes; return OK;
    case 201: *v = options().vectors; return OK;
    case 204: *v = 192 << 10; return OK;
    case 301: *v = options().hbm; return OK;
    case 302: *v = 192 << 20; return OK;
    case 601: *v = 2201; return OK;
    }
    return say(INVALID, "aclrtGetDeviceInfo: unknown attribute");
}
MAYBE(int, aclGetDeviceCapability, uint32_t, int info, int64_t* v)
{
    switch (info) {
    case 0: *v = options().cubes; return OK;
    case 1: *v = options().vectors; return OK;
    case 2: *v = 192 << 20; return OK;
    }
    return say(INVALID, "aclGetDeviceCapability: unknown attribute");
}
MAYBE(int, aclrtGetMemInfo, int, size_t* free, size_t* total)
{
    if (int e = enter("aclrtGetMemInfo")) return e;
    *total = options().hbm, *free = options().hbm - memory.in_use();
    return OK;
}

int aclrtCreateStream(void** s) { ENTER; std::lock_guard<std::mutex> g(lock); live.insert(*s = new Stream(++streams)); return OK; }
int aclrtDestroyStream(void* s) { log("aclrtDestroyStream"); forget(s); delete (Stream*)s; return OK; }
MAYBE(int, aclrtDestroyStreamForce, void* s) { log("aclrtDestroyStreamForce"); forget(s); delete (Stream*)s; return OK; }
static int synchronise(const char* call, void* s, int ms)
{
    if (int e = enter(call)) return e;
    std::string text;
    int e = ((Stream*)s)->wait(ms, text);
    return e ? say(e, text) : OK;
}
int aclrtSynchronizeStream(void* s) { return synchronise("aclrtSynchronizeStream", s, -1); }
MAYBE(int, aclrtSynchronizeStreamWithTimeout, void* s, int32_t ms) { return synchronise("aclrtSynchronizeStreamWithTimeout", s, ms); }

int aclrtMalloc(void** p, size_t n, int)
{
    ENTER;
    if (n == 0) return say(INVALID, "aclrtMalloc: 0 bytes");
    *p = launches().refused() ? nullptr : memory.take(n, options().hbm);
    if (!*p) return say(OUT_OF_MEMORY, "aclrtMalloc: out of device memory, size=" + std::to_string(n));
    std::lock_guard<std::mutex> g(lock);
    for (auto* l : libraries) l->allocated(*p, n);
    return OK;
}
int aclrtFree(void* p)
{
    log("aclrtFree");
    if (!memory.give(p)) return say(INVALID, "aclrtFree: not an allocation");
    std::lock_guard<std::mutex> g(lock);
    for (auto* l : libraries) l->freed(p);
    return OK;
}
MAYBE(int, aclrtMallocHost, void** p, size_t n) { *p = pinned.take(n); return *p ? OK : say(200000, "aclrtMallocHost: out of host memory"); }
MAYBE(int, aclrtFreeHost, void* p) { return pinned.give(p) ? OK : say(INVALID, "aclrtFreeHost: not memory of aclrtMallocHost"); }

int aclrtMemcpy(void* to, size_t room, const void* from, size_t n, int kind)
{
    launches().copied();
    ENTER;
    if (int e = check_copy("aclrtMemcpy", to, room, from, n, kind)) return e;
    memcpy(to, from, n);
    return OK;
}
MAYBE(int, aclrtMemcpyAsync, void* to, size_t room, const void* from, size_t n, int kind, void* s)
{
    if (int e = enter("aclrtMemcpyAsync")) return e;
    if (int e = check_copy("aclrtMemcpyAsync", to, room, from, n, kind)) return e;
    if ((kind == TO_DEVICE && !pinned.holds(from, n)) || (kind == TO_HOST && !pinned.holds(to, n)))
        return say(INVALID, "aclrtMemcpyAsync: the host's side is not memory of aclrtMallocHost");
    ((Stream*)s)->add([=](std::string&) { memcpy(to, from, n); return int(OK); });
    return OK;
}
MAYBE(int, aclrtMemset, void* p, size_t room, int32_t v, size_t n)
{
    if (int e = enter("aclrtMemset")) return e;
    if (n > room || !memory.holds(p, n)) return say(INVALID, "aclrtMemset: not device memory");
    memset(p, v, n);
    return OK;
}
MAYBE(int, aclrtMemsetAsync, void* p, size_t room, int32_t v, size_t n, void* s)
{
    if (int e = enter("aclrtMemsetAsync")) return e;
    if (n > room || !memory.holds(p, n)) return say(INVALID, "aclrtMemsetAsync: not device memory");
    ((Stream*)s)->add([=](std::string&) { memset(p, v, n); return int(OK); });
    return OK;
}

MAYBE(int, aclrtCreateEvent, void** e) { *e = new Event; return OK; }
MAYBE(int, aclrtCreateEventWithFlag, void** e, uint32_t) { *e = new Event; return OK; }
MAYBE(int, aclrtDestroyEvent, void* e) { delete (Event*)e; return OK; }
MAYBE(int, aclrtRecordEvent, void* event, void* s)
{
    if (int e = enter("aclrtRecordEvent")) return e;
    Event* v = (Event*)event;
    { std::lock_guard<std::mutex> g(v->m); v->recorded = false; }
    ((Stream*)s)->add([=](std::string&) {
        std::lock_guard<std::mutex> g(v->m);
        v->at = std::chrono::steady_clock::now(), v->recorded = true;
        v->c.notify_all();
        return int(OK);
    }, true);
    return OK;
}
MAYBE(int, aclrtSynchronizeEvent, void* event)
{
    if (int e = enter("aclrtSynchronizeEvent")) return e;
    Event* v = (Event*)event;
    std::unique_lock<std::mutex> g(v->m);
    v->c.wait(g, [&] { return v->recorded; });
    return OK;
}
MAYBE(int, aclrtEventElapsedTime, float* ms, void* from, void* to)
{
    *ms = std::chrono::duration<float, std::milli>(((Event*)to)->at - ((Event*)from)->at).count();
    return OK;
}

MAYBE(int, aclrtSetExceptionInfoCallback, void (*f)(Exception*)) { std::lock_guard<std::mutex> g(lock); on_exception = f; return OK; }
MAYBE(uint32_t, aclrtGetTaskIdFromExceptionInfo, const Exception* e) { return e ? e->task : 0xffffffff; }
MAYBE(uint32_t, aclrtGetStreamIdFromExceptionInfo, const Exception* e) { return e ? e->stream : 0xffffffff; }
MAYBE(uint32_t, aclrtGetErrorCodeFromExceptionInfo, const Exception* e) { return e ? e->code : 0xffffffff; }
MAYBE(int, aclrtGetThreadLastTaskId, uint32_t* id) { *id = last_task; return OK; }

int aclrtBinaryLoadFromFile(const char* path, void*, void** bin)
{
    ENTER;
    std::string file = path, c = "aclrtBinaryLoadFromFile: ";
    if (file.empty() || file[0] != '/') return say(INVALID, c + "the path must be absolute: " + file);
    void* lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) return say(NO_FILE, c + dlerror());
    auto* l = new Library;
    l->has = (decltype(l->has))dlsym(lib, "twin_has");
    l->allocated = (decltype(l->allocated))dlsym(lib, "twin_allocated");
    l->freed = (decltype(l->freed))dlsym(lib, "twin_freed");
    l->launch = (decltype(l->launch))dlsym(lib, "twin_launch");
    if (!l->has || !l->allocated || !l->freed || !l->launch) {
        delete l;
        dlclose(lib);
        return say(NO_FILE, c + file + " is no library of kernels");
    }
    memory.each(l->allocated);
    std::lock_guard<std::mutex> g(lock);
    libraries.push_back(l);
    *bin = l;
    return OK;
}
MAYBE(int, aclrtBinaryUnLoad, void* bin)
{
    std::lock_guard<std::mutex> g(lock);
    for (auto it = libraries.begin(); it != libraries.end(); ++it)
        if (*it == bin) {
            memory.each([&](void* p, size_t) { (*it)->freed(p); });
            libraries.erase(it);
            return OK;
        }
    return say(INVALID, "aclrtBinaryUnLoad: not a binary");
}
int aclrtBinaryGetFunction(void* bin, const char* name, void** f)
{
    ENTER;
    if (!((Library*)bin)->has(name)) return say(INVALID, std::string("aclrtBinaryGetFunction: no kernel ") + name);
    std::lock_guard<std::mutex> g(lock);
    for (auto* old : functions) // one handle a kernel
        if (old->lib == bin && old->name == name) { *f = old; return OK; }
    *f = functions.emplace_back(new Function{(Library*)bin, name});
    return OK;
}

int aclrtKernelArgsInit(void* f, void** list)
{
    ENTER;
    args.func = (Function*)f, args.bytes.clear(), args.done = false;
    *list = &args;
    return OK;
}
int aclrtKernelArgsAppend(void* list, void* value, size_t n, void** param)
{
    if (list != &args || args.done) return say(INVALID, "aclrtKernelArgsAppend: the list is another thread's, or finalized");
    args.bytes.insert(args.bytes.end(), (uint8_t*)value, (uint8_t*)value + n);
    *param = &args;
    return OK;
}
int aclrtKernelArgsFinalize(void* list)
{
    if (list != &args) return say(INVALID, "aclrtKernelArgsFinalize: the list is another thread's");
    args.done = true;
    return OK;
}
int aclrtLaunchKernelWithConfig(void* f, uint32_t blocks, void* stream, void*, void* list, void*)
{
    if (int e = enter(__func__)) return e;
    if (list != &args || !args.done || args.func != (Function*)f)
        return say(INVALID, "aclrtLaunchKernelWithConfig: the list of arguments is not finalized, or not this kernel's");
    if (blocks == 0) return say(INVALID, "aclrtLaunchKernelWithConfig: no blocks");
    Function* fn = args.func;
    log("launch " + fn->name + " " + std::to_string(blocks));
    auto fate = launches().next(fn->name);
    if (launches().lost()) return say(LOST, "aclrtLaunchKernelWithConfig: the device lost its heartbeat");
    { std::lock_guard<std::mutex> g(lock); last_task = ++tasks; }
    Stream* s = (Stream*)stream;
    uint32_t task = last_task, dev = device;
    std::vector<uint8_t> a = args.bytes;
    s->add([=](std::string& text) {
        char why[1000] = "";
        int code = fate.fault;
        if (fate.hangs) s->hang();
        else if (!code && fn->lib->launch(fn->name.c_str(), blocks, a.data(), a.size(), why, sizeof why)) code = AIC_EXCEPTION;
        if (!code) return int(OK);
        text = "Kernel task happen error, retCode=" + std::to_string(code) + ", device_id=" + std::to_string(dev) + ", stream_id=" + std::to_string(s->id) +
               ", task_id=" + std::to_string(task) + ", fault kernel_name=" + fn->name + (*why ? ": " : "") + why;
        Exception x{task, uint32_t(s->id), 0, dev, uint32_t(code)};
        void (*tell)(Exception*);
        { std::lock_guard<std::mutex> g(lock); tell = on_exception; }
        if (tell) tell(&x);
        return code;
    });
    return OK;
}

// What the stand-in for HCCL needs: the device of this thread, below 0 none; whether
// device memory is there; a task of its own on a stream, which gives an error code.
int standin_device() { return device; }
int standin_holds(const void* p, size_t n) { return memory.holds(p, n); }
int standin_queue(void* s, int (*task)(void* ctx, char* why, size_t room), void* ctx)
{
    { std::lock_guard<std::mutex> g(lock); if (!live.count(s)) return INVALID; }
    ((Stream*)s)->add([=](std::string& text) {
        char why[1000] = "";
        int code = task(ctx, why, sizeof why);
        text = why;
        return code;
    });
    return OK;
}
}
