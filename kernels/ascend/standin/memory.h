// Device memory: shared mappings, for kernel libraries that run a process for each
// core, with a page that nobody may touch behind the last 64 bytes.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <sys/mman.h>

namespace standin {

class Memory {
    struct Block { size_t bytes; uint8_t* map; size_t mapped; };
    std::mutex m;
    std::map<uint8_t*, Block> blocks;
    size_t used = 0;

public:
    // take gives nullptr when limit bytes would be exceeded, or the machine has none.
    void* take(size_t n, size_t limit)
    {
        const size_t page = 4096;
        std::lock_guard<std::mutex> g(m);
        if (n > limit || used > limit - n) return nullptr;
        size_t room = (n + 63) / 64 * 64, all = (room + page - 1) / page * page;
        void* at = mmap(nullptr, all + page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) return nullptr;
        mprotect((uint8_t*)at + all, page, PROT_NONE);
        uint8_t* p = (uint8_t*)at + all - room;
        memset(p, 0xff, n); // not a number in every float type
        blocks[p] = {n, (uint8_t*)at, all + page};
        used += n;
        return p;
    }
    bool give(void* p)
    {
        std::lock_guard<std::mutex> g(m);
        auto it = blocks.find((uint8_t*)p);
        if (it == blocks.end()) return false;
        munmap(it->second.map, it->second.mapped);
        used -= it->second.bytes;
        blocks.erase(it);
        return true;
    }
    bool holds(const void* p, size_t n)
    {
        std::lock_guard<std::mutex> g(m);
        auto it = blocks.upper_bound((uint8_t*)p);
        if (it == blocks.begin()) return false;
        --it;
        return (uintptr_t)p + n <= (uintptr_t)it->first + it->second.bytes;
    }
    void clear()
    {
        std::lock_guard<std::mutex> g(m);
        for (auto& b : blocks) munmap(b.second.map, b.second.mapped);
        blocks.clear();
        used = 0;
    }
    size_t in_use() { std::lock_guard<std::mutex> g(m); return used; }
    template <class F> void each(F f)
    {
        std::lock_guard<std::mutex> g(m);
        for (auto& b : blocks) f((void*)b.first, b.second.bytes);
    }
};

// Host memory that aclrtMallocHost gave: only such may take part in an asynchronous
// copy, since the device reads it while the program goes on.
class Pinned {
    std::mutex m;
    std::map<uint8_t*, size_t> blocks;

public:
    void* take(size_t n)
    {
        void* p = malloc(n);
        std::lock_guard<std::mutex> g(m);
        if (p) blocks[(uint8_t*)p] = n;
        return p;
    }
    bool give(void* p)
    {
        std::lock_guard<std::mutex> g(m);
        if (!blocks.erase((uint8_t*)p)) return false;
        free(p);
        return true;
    }
    bool holds(const void* p, size_t n)
    {
        std::lock_guard<std::mutex> g(m);
        auto it = blocks.upper_bound((uint8_t*)p);
        if (it == blocks.begin()) return false;
        --it;
        return (uintptr_t)p + n <= (uintptr_t)it->first + it->second;
    }
};

} // namespace standin
