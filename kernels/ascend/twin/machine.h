// The machine below the API: cores, their memories and pipes, and what is known of the order of accesses.
//
// Instructions take effect in program order. What the device may do out of order is checked, not imitated: every
// pipe has a vector clock, flags and barriers carry clocks from pipe to pipe, and every 32 bytes of a core's memory
// know the last instruction of each pipe that wrote or read them. An access that nothing orders after an earlier one
// is an error even though the numbers come out right.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

enum pipe_t : uint8_t { PIPE_S, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_FIX, PIPE_ALL };

namespace twin {
enum class Mem : uint8_t { UB, L1, L0A, L0B, L0C, BT, count };
constexpr int MEMS = int(Mem::count), PIPES = PIPE_ALL;
constexpr uint32_t capacity[MEMS] = {192 * 1024 - 256, 512 * 1024 - 256, 64 * 1024, 64 * 1024, 128 * 1024, 1024};
constexpr uint32_t alignment[MEMS] = {32, 32, 512, 512, 64, 64};
const char* name(Mem m);
const char* name(pipe_t p);

struct Fault : std::runtime_error { using std::runtime_error::runtime_error; };
struct Rejoin {}; // thrown by a kernel's first statement: all cores must be in one thread
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2))); // names the core

using Clock = std::array<uint32_t, PIPES>; // by pipe, the last instruction that is known to be done

// What one core knows of all: by core and pipe. Flags between cores carry it.
using Known = std::vector<uint32_t>;

// Touches of a memory by 32 bytes: by pipe, the last instruction that wrote and that read.
struct Shadow { std::vector<uint32_t> wrote[PIPES], read[PIPES]; };

enum class State : uint8_t { Free, Taken, Queued, Out };
// A buffer that InitBuffer made. wrote and read are the last touches of any of its bytes: mostly they decide alone.
struct Buffer {
    Mem mem;
    uint32_t at, size;
    State state = State::Free;
    bool scratch = false, clean = false; // a TBuf; not poisoned yet
    int8_t freed = -1, queued = -1;      // flags that are set
    pipe_t producer, consumer;           // freed runs from the consumer to the producer
    Clock wrote, read;
};

// A piece of a buffer: what all local tensors are below their type.
struct Tensor {
    Mem mem = Mem::UB;
    uint32_t at = 0, size = 0; // bytes
    Buffer* buf = nullptr;
};

// Counters of a launch.
struct Counters {
    uint64_t in = 0, out = 0, l1 = 0, flops = 0, vectors = 0, lanes = 0, scalars = 0;
    void add(const Counters& c) { in += c.in, out += c.out, l1 += c.l1, flops += c.flops, vectors += c.vectors, lanes += c.lanes, scalars += c.scalars; }
};

struct Island; // cores that one thread runs in turns

struct Core {
    Island* island = nullptr;
    int index = 0, block = 0, sub = 0; // index counts in the island
    bool aic = false, mix = false;
    std::vector<uint8_t> mem[MEMS];
    Shadow shadow[MEMS];
    uint32_t used[MEMS] = {};
    int made = 0;              // buffers
    std::deque<Buffer> list;
    Clock clock[PIPES] = {};   // clock[p][q]: the last instruction of q that comes before p's next
    Clock issued = {};
    Known known;               // of the other cores
    uint8_t set[PIPES][PIPES] = {}, reserved[PIPES][PIPES] = {}; // flags from pipe to pipe by bits
    Clock carried[PIPES][PIPES][8];
    bool counting = false;     // the mask is a count
    uint64_t mask[2] = {~0ull, ~0ull};
    int atomic = 0;            // 0 none, 1 add, 2 max, 3 min
    void* pipe = nullptr;      // the live TPipe
    Counters n;
    uint16_t waiting = 0;      // cross-core flag that the core waits for, plus 1
    std::unordered_map<uint64_t, bool> lines; // of the data cache: dirty or not
};
extern thread_local Core* core;

// Order.
void touch(pipe_t p, const Tensor& t, uint32_t at, uint32_t n, bool write, const char* op); // at counts from t
inline void step(pipe_t p)
{
    Core& c = *core;
    c.issued[p]++;
    // Scalars, loads into L0 and Fixpipe follow one another; vector and cube instructions that depend on each other
    // need a barrier, and so do copies to the same place.
    if (p == PIPE_S || p == PIPE_MTE1 || p == PIPE_FIX) c.clock[p][p] = c.issued[p];
}
Clock snapshot(pipe_t p);
void learn(pipe_t p, const Clock& k);
void barrier(pipe_t p);
void needAIC(const char* op);
void needAIV(const char* op);

// Local tensors.
void within(const Tensor& t, uint64_t bytes, const char* op); // bytes from its begin lie in the tensor
void aligned(const Tensor& t, uint32_t a, const char* op);
inline uint8_t* bytes(const Tensor& t) { return core->mem[int(t.mem)].data() + t.at; }
Buffer* makeBuffer(Mem m, uint32_t len, bool scratch);
void poison(Buffer* b);

// Events within a core.
void setFlag(pipe_t from, pipe_t to, int id);
void waitFlag(pipe_t from, pipe_t to, int id);
int freeEvent(pipe_t from, pipe_t to);
int takeEvent(pipe_t from, pipe_t to);
void giveEvent(pipe_t from, pipe_t to, int id);

// Flags between cores.
void crossSet(int mode, pipe_t p, uint16_t id);
void crossWait(uint16_t id);
void syncAll(bool vectorOnly);

// Global memory: every access lies in one known allocation, and is ordered with those of the other pipes and cores.
void globalExtent(const void* at, uint64_t n, const char* op); // of a whole transfer
void globalRead(pipe_t p, const void* from, uint64_t n, const char* op);
void globalWrite(pipe_t p, void* to, uint64_t n, const char* op);
void scalarRead(const void* from, uint64_t n);
void scalarWrite(const void* to, uint64_t n);
void cleanLines(const void* at, bool all);
} // namespace twin
