// What the cores of a launch share. Included by engine.cpp only.
//
// An island is what one thread runs in turns: a single core, or a group of mixed cores that wait for each other, or all
// cores where a source has flags of mode 0. Cores of an island run as fibers: a core that waits for a flag gives the
// thread to the next, the same numbers come out each time, and a deadlock is seen when nobody can run.
#pragma once
#include "pipe.h"
#include <memory>
#include <mutex>

namespace twin {
std::string label(const Core& c);

// ---- global memory ----
// Heap knows all allocations.
struct Heap {
    struct Range { uintptr_t from, to; };
    std::mutex lock;
    std::vector<Range> ranges; // sorted
    void add(void* p, size_t n);
    void drop(void* p);
    bool holds(uintptr_t p, uint64_t n, Range& found) const;
};
extern Heap heap;

// A Touch names an instruction: core of the launch and pipe, and its number.
struct Touch { uint16_t who; uint32_t n; };
inline uint16_t who(int core, int pipe) { return uint16_t(core * 8 + pipe + 1); } // 0 is nobody

struct Island;
// GlobalShadow remembers, to the byte, who wrote and who read what during a launch.
class GlobalShadow {
public:
    void touch(pipe_t p, uintptr_t at, uint64_t n, bool write, const char* op);
    void clear();
    // race compares with the shadow of cores that ran in another thread: nothing orders their accesses.
    std::string race(const GlobalShadow& other, const Island& of) const;

private:
    struct Span { uint16_t from, to; Touch wrote; int32_t reads; };       // bytes of a page; reads heads a list
    struct Read { Touch by; int32_t next; };
    struct Page { uintptr_t at = 0; bool written = false; std::vector<Span> spans; };
    struct Slot { uintptr_t at = 0; uint32_t page = 0; };
    Page& page(uintptr_t at);
    const Page* find(uintptr_t at) const;
    void update(Page& g, uint32_t lo, uint32_t hi, pipe_t p, bool write, const char* op);
    void check(Span& s, const Page& g, pipe_t p, bool write, const char* op);
    void addRead(Span& s, pipe_t p);
    int32_t copied(int32_t reads);
    void release(int32_t reads);
    std::vector<Page> pages;
    size_t used = 0;
    std::vector<Slot> table;
    std::vector<uint32_t> taken; // slots of the table
    std::vector<Read> reads;
    int32_t spare = -1;
    Page* last = nullptr;
    std::vector<Span> scratch;
};

// ---- fibers ----
struct Fiber {
    void* stack = nullptr; // its lowest byte
    void* at = nullptr;    // saved stack pointer
    bool started = false, done = false;
};

struct Job { // what a launch runs
    const char* name;
    void* entry;
    int args;
    const uint64_t* words;
};

struct Island {
    const Job* job = nullptr;
    GlobalShadow* shadow = nullptr;
    int blocks = 0, first = 0; // first: number of its first core in the launch
    bool mix = false, cube = false, whole = false; // kinds of cores; whole: all cores of the launch
    std::vector<Core*> cores;
    std::vector<Fiber> fibers;
    std::vector<std::deque<Known>> given, kept; // by core and flag: sets to wait for; sets that others have still to meet
    void* main = nullptr;                       // stack pointer of the scheduler
    int running = 0;
    std::string fault;
    bool stopping = false, rejoin = false;
    uint64_t seed = 0;

    void run(); // all cores to their ends, or the first fault
    void wait();
    void yield();

private:
    void body(int i);
    void schedule();
    std::string deadlock() const;
    friend void enterFiber();
};
constexpr int FLAGS = 16;
void begin(Core& c);
void end(Core& c);
} // namespace twin
