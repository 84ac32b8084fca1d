// TPipe and its queues, flags and barriers within a core and between cores.
#pragma once
#include "tensor.h"

namespace AscendC {
template <TPosition src, TPosition dst, int depth, auto mask = 0> class TQueBind {
public:
    // A queue that binds an input position to an output position is filled by the first's producer and emptied by the
    // second's consumer.
    static constexpr twin::Place from = twin::place(src == TPosition::GM ? dst : src), to = twin::place(dst == TPosition::GM ? src : dst);
    static constexpr pipe_t fill = from.from, empty = src == dst || dst == TPosition::GM || src == TPosition::GM ? from.to : to.to;
    static constexpr bool copies = src == TPosition::VECIN && dst == TPosition::VECOUT; // in and out without a calculation

    template <typename T> LocalTensor<T> AllocTensor() { return view<T>(alloc()); }
    template <typename T> void AllocTensor(LocalTensor<T>& t) { t = view<T>(alloc()); }
    template <typename T> bool EnQue(const LocalTensor<T>& t)
    {
        twin::Buffer* b = mine(t, "EnQue");
        if (b->state != twin::State::Taken && b->state != twin::State::Out) twin::fail("EnQue: the tensor is %s",
            b->state == twin::State::Free ? "free" : "queued already");
        if (depth > 0 && int(queue.size()) >= depth) twin::fail("EnQue: the queue holds %zu tensors and has depth %d", queue.size(), depth);
        b->state = twin::State::Queued;
        b->queued = twin::takeEvent(fill, handTo());
        twin::setFlag(fill, handTo(), b->queued);
        queue.push_back(b);
        return true;
    }
    template <typename T> LocalTensor<T> DeQue()
    {
        if (queue.empty()) twin::fail("DeQue: the queue is empty");
        return view<T>(take(queue.front()));
    }
    template <typename T> void DeQue(LocalTensor<T>& t)
    {
        if (queue.empty()) twin::fail("DeQue: the queue is empty");
        t = view<T>(take(mine(t, "DeQue")));
    }
    template <typename T> void FreeTensor(const LocalTensor<T>& t)
    {
        twin::Buffer* b = mine(t, "FreeTensor");
        if (b->state == twin::State::Free) twin::fail("FreeTensor: the tensor is free already");
        if (b->state == twin::State::Queued) twin::fail("FreeTensor: the tensor is queued");
        b->state = twin::State::Free;
        b->freed = twin::takeEvent(empty, backTo()), b->consumer = empty, b->producer = backTo();
        twin::setFlag(empty, backTo(), b->freed);
    }
    bool VacantInQue() const { return int(queue.size()) < depth; }
    bool HasTensorInQue() const { return !queue.empty(); }
    int32_t GetTensorCountInQue() const { return int32_t(queue.size()); }
    bool HasIdleBuffer() const { for (auto* b : bufs) if (b->state == twin::State::Free) return true; return false; }
    void init(int num, uint32_t len)
    {
        if (!bufs.empty()) twin::fail("InitBuffer: the queue has its buffers already");
        if (num < 1) twin::fail("InitBuffer: no buffers");
        for (int i = 0; i < num; i++) bufs.push_back(twin::makeBuffer(from.mem, len, false));
    }

private:
    static constexpr pipe_t handTo() { return copies ? PIPE_MTE3 : from.to; }
    static constexpr pipe_t backTo() { return fill; }
    twin::Buffer* alloc()
    {
        if (bufs.empty()) twin::fail("AllocTensor: the queue has no buffers");
        for (size_t i = 0; i < bufs.size(); i++) { // in turns, as the device does
            twin::Buffer* b = bufs[(next + i) % bufs.size()];
            if (b->state != twin::State::Free) continue;
            next = (next + i + 1) % bufs.size();
            b->state = twin::State::Taken;
            if (b->freed >= 0) twin::waitFlag(empty, backTo(), b->freed), twin::giveEvent(empty, backTo(), b->freed), b->freed = -1;
            twin::poison(b);
            return b;
        }
        twin::fail("AllocTensor: all %zu buffers of the queue are in use", bufs.size());
    }
    twin::Buffer* take(twin::Buffer* b)
    {
        size_t i = 0;
        while (i < queue.size() && queue[i] != b) i++;
        if (i == queue.size()) twin::fail("DeQue: the tensor is not queued");
        queue.erase(queue.begin() + i);
        b->state = twin::State::Out;
        twin::waitFlag(fill, handTo(), b->queued), twin::giveEvent(fill, handTo(), b->queued), b->queued = -1;
        return b;
    }
    twin::Buffer* mine(const twin::Tensor& t, const char* op)
    {
        for (auto* b : bufs) if (b == t.buf) return b;
        twin::fail("%s: the tensor is not of this queue", op);
    }
    template <typename T> LocalTensor<T> view(twin::Buffer* b) { return LocalTensor<T>(twin::Tensor{b->mem, b->at, b->size, b}); }
    std::vector<twin::Buffer*> bufs;
    std::deque<twin::Buffer*> queue;
    size_t next = 0;
};
template <TPosition pos, int depth, auto mask = 0> class TQue : public TQueBind<pos, pos, depth, mask> {};

template <TPosition pos = TPosition::LCM> class TBuf {
public:
    template <typename T> LocalTensor<T> Get()
    {
        if (!buf) twin::fail("Get: the buffer was not initialised");
        if (!buf->clean) twin::poison(buf), buf->clean = true;
        return LocalTensor<T>(twin::Tensor{buf->mem, buf->at, buf->size, buf});
    }
    template <typename T> LocalTensor<T> Get(uint32_t n) { return GetWithOffset<T>(n, 0); }
    template <typename T> LocalTensor<T> GetWithOffset(uint32_t n, uint32_t offset)
    {
        LocalTensor<T> t = Get<T>();
        twin::within(t, offset + uint64_t(n) * sizeof(T), "Get");
        t.at += offset, t.size = n * sizeof(T);
        return t;
    }
    twin::Buffer* buf = nullptr;
};

class TPipe {
public:
    TPipe();
    ~TPipe() noexcept(false);
    TPipe(const TPipe&) = delete;
    template <TPosition s, TPosition d, int depth, auto m> bool InitBuffer(TQueBind<s, d, depth, m>& q, uint8_t num, uint32_t len) { q.init(num, len);
        return true; }
    template <TPosition pos> bool InitBuffer(TBuf<pos>& b, uint32_t len)
    {
        if (b.buf) twin::fail("InitBuffer: the TBuf has its buffer already");
        b.buf = twin::makeBuffer(twin::place(pos).mem, len, true);
        return true;
    }
    TEventID FetchEventID(HardEvent e) { return twin::freeEvent(twin::ends(e).from, twin::ends(e).to); } // free, not reserved
    template <HardEvent e> TEventID FetchEventID() { return FetchEventID(e); }
    template <HardEvent e> TEventID AllocEventID() { return twin::takeEvent(twin::ends(e).from, twin::ends(e).to); }
    template <HardEvent e> void ReleaseEventID(TEventID id) { twin::giveEvent(twin::ends(e).from, twin::ends(e).to, id); }
    void Reset();
    void Destroy();
};
TPipe* GetTPipePtr();

template <HardEvent e> void SetFlag(int32_t id) { twin::setFlag(twin::ends(e).from, twin::ends(e).to, id); }
template <HardEvent e> void WaitFlag(int32_t id) { twin::waitFlag(twin::ends(e).from, twin::ends(e).to, id); }
template <pipe_t p> void PipeBarrier()
{
    static_assert(p != PIPE_S, "scalars need no barrier");
    twin::barrier(p);
}

int64_t GetBlockIdx();
int64_t GetBlockNum();
int64_t GetSubBlockIdx();
int64_t GetSubBlockNum();
int64_t GetTaskRatio();
inline int64_t GetTaskRation() { return GetTaskRatio(); }

// Set by a pipe when it has done what it was given before.
template <uint8_t mode, pipe_t p> void CrossCoreSetFlag(uint16_t id)
{
    static_assert(mode <= 2, "modes of arch 2201 are 0, 1, 2");
    static_assert(p != PIPE_ALL && p != PIPE_S, "a flag between cores is set by one pipe");
    if constexpr (mode == 0) (void)&twin::Joins<mode>::here;
    twin::crossSet(mode, p, id);
}
// Holds all pipes.
template <uint8_t mode = 0, pipe_t p = PIPE_S> void CrossCoreWaitFlag(uint16_t id) { twin::crossWait(id); }
template <bool isAIVOnly = true> void SyncAll()
{
    (void)&twin::Joins<isAIVOnly>::here;
    twin::syncAll(isAIVOnly);
}

inline void SetMaskCount() { twin::core->counting = true; }
inline void SetMaskNorm() { twin::core->counting = false; }
inline void ResetMask() { twin::core->mask[0] = twin::core->mask[1] = ~0ull; }
template <typename T, MaskMode mode = MaskMode::NORMAL> void SetVectorMask(uint64_t high, uint64_t low) { twin::core->mask[0] = low,
    twin::core->mask[1] = high; }
template <typename T, MaskMode mode = MaskMode::NORMAL> void SetVectorMask(int32_t n)
{
    uint64_t* m = twin::core->mask;
    if (mode == MaskMode::COUNTER) m[0] = n, m[1] = 0;
    else m[0] = n >= 64 ? ~0ull : (1ull << n) - 1, m[1] = n <= 64 ? 0 : n >= 128 ? ~0ull : (1ull << (n - 64)) - 1;
}
template <typename T> void SetAtomicAdd() { twin::core->atomic = 1; }
template <typename T> void SetAtomicMax() { twin::core->atomic = 2; }
template <typename T> void SetAtomicMin() { twin::core->atomic = 3; }
inline void SetAtomicNone() { twin::core->atomic = 0; }
inline void DisableDmaAtomic() { twin::core->atomic = 0; }
} // namespace AscendC
