// The shared memory of a communicator: a channel for each two ranks and direction, and
// what each rank waits for.
#pragma once
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace hccl {

constexpr uint32_t MOST = 64;            // ranks
constexpr uint64_t BUFFER = 256 << 10;   // bytes of a channel under way
enum { DONE = 0, WRONG = 1, TIMED_OUT = 2 };

struct Message {
    uint64_t count;
    uint32_t type;
    uint64_t bytes;
    bool same(const Message& m) const { return count == m.count && type == m.type; }
    std::string text() const { return std::to_string(count) + (type == 4 ? " of fp32" : " of uint8"); }
};

// Channel is what one rank sends another, a message at a time.
struct Channel {
    enum State : uint32_t { IDLE, OFFERED, ACCEPTED, REFUSED, TAKEN };
    std::atomic<uint32_t> state;
    Message offered, wanted;
    std::atomic<uint64_t> written, read;
    uint8_t data[BUFFER];
};

struct Segment {
    std::atomic<uint32_t> n, arrived;
    std::atomic<int32_t> pid[MOST], device[MOST], left[MOST];
    std::atomic<uint32_t> stuck; // ranks wait in a circle
    std::atomic<uint64_t> doing[MOST]; // 0, or a transfer: its number, the peer, and whether it sends
    Channel channels[1];

    static size_t size(uint32_t n) { return sizeof(Segment) + size_t(n) * n * sizeof(Channel); }
    Channel& channel(uint32_t from, uint32_t to) { return channels[from * n + to]; }

    // open joins a rank to the segment of a name, and waits for all.
    static Segment* open(const std::string& name, uint32_t n, uint32_t rank, int dev, double seconds, std::string& why)
    {
        int fd = shm_open(name.c_str(), O_CREAT | O_RDWR, 0600);
        if (fd < 0 || ftruncate(fd, off_t(size(n))) != 0) { why = "no shared memory: " + std::string(strerror(errno)); return nullptr; }
        void* at = mmap(nullptr, size(n), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (at == MAP_FAILED) { why = "no shared memory: " + std::string(strerror(errno)); return nullptr; }
        auto* s = (Segment*)at;
        uint32_t none = 0;
        if (!s->n.compare_exchange_strong(none, n) && none != n) {
            why = "this rank counts " + std::to_string(n) + " ranks, another " + std::to_string(none);
            return nullptr;
        }
        int32_t nobody = 0;
        if (!s->pid[rank].compare_exchange_strong(nobody, getpid())) { why = "rank " + std::to_string(rank) + " comes twice"; return nullptr; }
        s->device[rank] = dev;
        s->arrived++;
        Clock limit(seconds);
        while (s->arrived < n) {
            if (limit.over()) {
                shm_unlink(name.c_str());
                why = "not all ranks came: " + std::to_string(s->arrived) + " of " + std::to_string(n);
                return nullptr;
            }
            usleep(500);
        }
        shm_unlink(name.c_str());
        for (uint32_t r = 0; r < n; r++)
            if (r != rank && s->device[r] == dev) {
                why = "ranks " + std::to_string(r < rank ? r : rank) + " and " + std::to_string(r < rank ? rank : r) + " both use device " + std::to_string(dev);
                return nullptr;
            }
        return s;
    }

    class Clock {
        std::chrono::steady_clock::time_point end;

    public:
        explicit Clock(double seconds) : end(std::chrono::steady_clock::now() + std::chrono::milliseconds(int64_t(1000 * seconds))) {}
        bool over() const { return std::chrono::steady_clock::now() > end; }
    };

    int never(double seconds, std::string& why)
    {
        for (Clock limit(seconds); !limit.over();) usleep(1000);
        why = "injected: it never ends";
        return TIMED_OUT;
    }

    // circle reports that ranks wait for each other: a rank waits for its peer, which
    // waits for another one, and so on back to it.
    bool circle(uint32_t rank, std::string& text)
    {
        uint64_t seen[MOST];
        for (int pass = 0; pass < 2; pass++) {
            uint32_t at = rank, steps = 0;
            text = "";
            do {
                uint64_t d = doing[at];
                if (d == 0 || steps == n) return false;
                uint32_t peer = (d >> 1) & 0xffff;
                uint64_t theirs = doing[peer];
                if (theirs && ((theirs >> 1) & 0xffff) == at && (theirs & 1) != (d & 1)) return false; // they are together
                if (pass == 1 && seen[steps] != d) return false;
                seen[steps++] = d;
                text += (text.empty() ? "rank " : ", rank ") + std::to_string(at) + ((d & 1) ? " sends to " : " receives from ") + std::to_string(peer);
                at = peer;
            } while (at != rank);
            if (pass == 0) usleep(50000);
        }
        return true;
    }

    // Wait is a wait of one transfer: ready says that it is over.
    template <typename F>
    int wait(uint32_t rank, uint32_t peer, const std::string& what, const Clock& limit, std::string& why, F ready)
    {
        for (uint32_t round = 1;; round++) {
            if (ready()) return DONE;
            if (left[peer] && !ready()) { why = what + ", which has left: the other side never comes"; return WRONG; }
            if (round % 1000 == 0) {
                std::string text;
                if (stuck || (circle(rank, text) && !ready())) { stuck = 1; why = "the ranks wait for each other: " + what + ", " + text; return WRONG; }
                if (limit.over()) { why = what + ": the other side did not come in time"; return TIMED_OUT; }
            }
            if (round > 200) usleep(round > 2000 ? 500 : 100);
            else std::this_thread::yield();
        }
    }

    // move is a transfer of device memory.
    int move(uint32_t rank, uint32_t peer, bool send, void* data, const Message& m, double seconds, std::string& why)
    {
        static std::atomic<uint64_t> number{0};
        doing[rank] = (++number << 17) | (uint64_t(peer) << 1) | (send ? 1 : 0);
        Clock limit(seconds);
        int e = send ? give(rank, peer, (const uint8_t*)data, m, limit, why) : take(rank, peer, (uint8_t*)data, m, limit, why);
        doing[rank] = 0;
        return e;
    }

    std::string differ(uint32_t from, uint32_t to, const Message& sent, const Message& wanted)
    {
        return "rank " + std::to_string(from) + " sends " + sent.text() + ", rank " + std::to_string(to) + " receives " + wanted.text();
    }

    int give(uint32_t rank, uint32_t peer, const uint8_t* data, const Message& m, const Clock& limit, std::string& why)
    {
        Channel& c = channel(rank, peer);
        c.offered = m, c.written = 0, c.read = 0;
        c.state = Channel::OFFERED;
        std::string what = m.text() + " to rank " + std::to_string(peer);
        if (int e = wait(rank, peer, what, limit, why, [&] { return c.state != Channel::OFFERED; })) return e;
        if (c.state == Channel::REFUSED) { why = differ(rank, peer, m, c.wanted); return WRONG; }
        for (uint64_t at = 0; at < m.bytes;) {
            uint64_t space;
            if (int e = wait(rank, peer, what, limit, why, [&] { return (space = BUFFER - (at - c.read)) > 0; })) return e;
            uint64_t from = at % BUFFER, n = std::min({space, m.bytes - at, BUFFER - from});
            memcpy(c.data + from, data + at, n);
            c.written = at += n;
        }
        if (int e = wait(rank, peer, what, limit, why, [&] { return c.state == Channel::TAKEN; })) return e;
        c.state = Channel::IDLE;
        return DONE;
    }

    int take(uint32_t rank, uint32_t peer, uint8_t* data, const Message& m, const Clock& limit, std::string& why)
    {
        Channel& c = channel(peer, rank);
        std::string what = m.text() + " from rank " + std::to_string(peer);
        if (int e = wait(rank, peer, what, limit, why, [&] { return c.state == Channel::OFFERED; })) return e;
        if (!c.offered.same(m)) {
            c.wanted = m;
            why = differ(peer, rank, c.offered, m);
            c.state = Channel::REFUSED;
            return WRONG;
        }
        c.state = Channel::ACCEPTED;
        for (uint64_t at = 0; at < m.bytes;) {
            uint64_t there;
            if (int e = wait(rank, peer, what, limit, why, [&] { return (there = c.written - at) > 0; })) return e;
            uint64_t from = at % BUFFER, n = std::min({there, m.bytes - at, BUFFER - from});
            memcpy(data + at, c.data + from, n);
            c.read = at += n;
        }
        c.state = Channel::TAKEN;
        return DONE;
    }

    // leave ends a rank's part; what others send it then is an error.
    int leave(uint32_t rank, std::string& why)
    {
        left[rank] = 1;
        for (uint32_t r = 0; r < n; r++)
            if (r != rank && channel(r, rank).state == Channel::OFFERED) {
                why = "rank " + std::to_string(r) + " sends " + channel(r, rank).offered.text() + ", which rank " + std::to_string(rank) + " does not receive";
                return WRONG;
            }
        return DONE;
    }
};

} // namespace hccl
