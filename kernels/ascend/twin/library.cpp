// The kernels as a library that a host program opens: what a device's binary is on a device.
#include "launch.h"
#include <cstdio>
#include <cstring>
#include <vector>

#define LORAC_KERNEL(n, k, a) extern "C" void n();
#include "table.h"
#undef LORAC_KERNEL
#define LORAC_KERNEL(n, k, a) {#n, n, twin::k, a},
static const twin::Kernel table[] = {
#include "table.h"
    {nullptr, nullptr, twin::AIV, 0}};

static uint64_t counters[8];

static const twin::Kernel* find(const char* name)
{
    for (const twin::Kernel* k = table; k->name; k++) if (!strcmp(k->name, name)) return k;
    return nullptr;
}
#pragma GCC visibility push(default)
extern "C" {
void twin_allocated(void* p, size_t n) { twin::allocated(p, n); }
void twin_freed(void* p) { twin::freed(p); }
int twin_has(const char* name) { return find(name) != nullptr; }
// args: 8 bytes each. Returns 0, or 1 and the reason in why.
int twin_launch(const char* name, uint32_t blocks, const void* args, size_t bytes, char* why, size_t room)
{
    const twin::Kernel* k = find(name);
    std::vector<uint64_t> words(bytes / 8);
    memcpy(words.data(), args, words.size() * 8);
    std::string e = k ? twin::launch(*k, blocks, words.data(), words.size(), counters) : std::string("no kernel ") + name;
    counters[7]++;
    snprintf(why, room, "%s", e.c_str());
    return !e.empty();
}
// The counters of the last launch, in this order: bytes from global memory to a core, and back; bytes from L1 to L0;
// FLOPs of the cube; vector instructions, and their lanes; reads of global memory by the scalar unit; launches so far.
// Returns how many there are.
int twin_counters(uint64_t* v, int n)
{
    for (int i = 0; i < n && i < 8; i++) v[i] = counters[i];
    return 8;
}
}
#pragma GCC visibility pop
