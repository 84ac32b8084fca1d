// Dropout on the vector cores. An element is dropped when 16 bits of a hash of its row's
// seed, stream and column are below limit; kept ones are multiplied by scale. The bits
// are those of kernels/dropout.go.
//
// Needs 32-bit sums and products that keep their low bits.
#pragma once
#include "kernel_operator.h"
#include "tiles.h"

namespace lorac {
using namespace AscendC;

__aicore__ inline float floatOf(uint64_t bits)
{
    union { uint32_t u; float f; } b;
    b.u = uint32_t(bits);
    return b.f;
}

// Mask makes the masks of blocks of rows x cols, DROP_BLOCK elements at most; cols is a
// multiple of 16.
class Mask {
public:
    __aicore__ inline void Init(TPipe* pipe, GM_ADDR seeds, uint32_t limit)
    {
        pipe->InitBuffer(buf_, MASK_BYTES);
        LocalTensor<int32_t> all = buf_.Get<int32_t>();
        table_ = all[0], hash_ = all[PAIRS], other_ = all[2 * PAIRS], more_ = all[3 * PAIRS], last_ = all[4 * PAIRS];
        seeds_.SetGlobalBuffer((__gm__ int64_t*)seeds);
        // A hash h becomes 32767 - h by an exclusive or; clamped between two neighbours, it
        // says whether h >= limit; then -1 is kept, 0 dropped.
        low_ = int16_t(32767 - int32_t(limit)), high_ = int16_t(limit == 0 ? 32767 : 32768 - int32_t(limit)), shift_ = int16_t(int32_t(limit) - 32768);
        if (limit > 65535) low_ = high_ = shift_ = 0;
    }

    // Start fills the table: what the hashes of the next pairs start from, minus the first.
    // It follows the last InitBuffer.
    __aicore__ inline void Start()
    {
        for (uint32_t i = 0; i < 8; i++) table_.SetValue(i, int32_t(i * STEP));
        event_t id = static_cast<event_t>(GetTPipePtr()->FetchEventID(HardEvent::S_V));
        SetFlag<HardEvent::S_V>(id);
        WaitFlag<HardEvent::S_V>(id);
        for (uint32_t n = 8; n < PAIRS; n *= 2) {
            Adds(table_[n], table_, int32_t(n * STEP), n);
            PipeBarrier<PIPE_V>();
        }
    }

    // Make gives -1 for elements that are kept, 0 for the others.
    __aicore__ inline LocalTensor<int16_t> Make(uint32_t row0, uint32_t rows, uint32_t col0, uint32_t cols, uint64_t stream)
    {
        uint32_t pairs = cols / 2, n = rows * pairs;
        PipeBarrier<PIPE_V>();
        for (uint32_t r = 0; r < rows; r++) {
            uint64_t h = Row(row0 + r, stream);
            Adds(hash_[r * pairs], table_, int32_t(uint32_t(h) + col0 / 2 * STEP), pairs);
            Duplicate(last_[r * pairs], int32_t(uint32_t(h >> 32) ^ 0x7FFF7FFFu), pairs);
        }
        PipeBarrier<PIPE_V>();
        Mix(16, n);
        Times(0x7FEB352Du, n);
        Mix(15, n);
        Times(0x846CA68Bu, n);
        Mix(16, n);
        Exclusive(last_, n);
        LocalTensor<int16_t> m = hash_.ReinterpretCast<int16_t>();
        Mins(m, m, high_, 2 * n);
        PipeBarrier<PIPE_V>();
        Maxs(m, m, low_, 2 * n);
        PipeBarrier<PIPE_V>();
        Adds(m, m, shift_, 2 * n);
        PipeBarrier<PIPE_V>();
        return m;
    }

private:
    static constexpr uint32_t PAIRS = DROP_BLOCK / 2, STEP = 0x9E3779B9u;

    // Row mixes the row's seed and the stream (the finalizer of splitmix64).
    __aicore__ inline uint64_t Row(uint32_t row, uint64_t stream)
    {
        uint64_t z = uint64_t(seeds_.GetValue(row)) + 0x9E3779B97F4A7C15ull * stream;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 27) * 0x94D049BB133111EBull;
        return z ^ z >> 31;
    }

    // hash ^= hash >> by
    __aicore__ inline void Mix(uint32_t by, uint32_t n)
    {
        ShiftRight(other_.ReinterpretCast<uint32_t>(), hash_.ReinterpretCast<uint32_t>(), by, n);
        PipeBarrier<PIPE_V>();
        Exclusive(other_, n);
    }

    // hash ^= b, as (hash | b) - (hash & b), which borrows nothing.
    __aicore__ inline void Exclusive(const LocalTensor<int32_t>& b, uint32_t n)
    {
        LocalTensor<uint16_t> x = hash_.ReinterpretCast<uint16_t>(), y = b.ReinterpretCast<uint16_t>();
        Or(more_.ReinterpretCast<uint16_t>(), x, y, 2 * n);
        And(y, x, y, 2 * n);
        PipeBarrier<PIPE_V>();
        Sub(hash_, more_, b, n);
        PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void Times(uint32_t by, uint32_t n)
    {
        Muls(hash_, hash_, int32_t(by), n);
        PipeBarrier<PIPE_V>();
    }

    TBuf<TPosition::VECCALC> buf_;
    LocalTensor<int32_t> table_, hash_, other_, more_, last_;
    GlobalTensor<int64_t> seeds_;
    int16_t low_, high_, shift_;
};

// Dropper copies a matrix through its mask: y = T(scale·x) or 0.
template <typename T>
class Dropper {
public:
    __aicore__ inline void Init(TPipe* pipe, GM_ADDR seeds, uint32_t limit, float scale)
    {
        mask_.Init(pipe, seeds, limit);
        scale_ = scale;
        pipe->InitBuffer(in_, 2, DROP_BLOCK * 2);
        pipe->InitBuffer(out_, 2, DROP_BLOCK * 2);
        pipe->InitBuffer(wide_, DROP_BLOCK * 4);
        mask_.Start();
    }

    // Copy masks rows x cols elements, whose place in the matrix is row0, col0.
    __aicore__ inline void Copy(__gm__ T* y, uint32_t yRow, __gm__ T* x, uint32_t xRow, uint32_t row0, uint32_t rows, uint32_t col0, uint32_t cols, uint64_t stream)
    {
        uint32_t few = dropRows(cols), wide = dropCols(cols);
        for (uint32_t r = 0; r < rows; r += few)
            for (uint32_t c = 0; c < cols; c += wide)
                Block(y + uint64_t(r) * yRow + c, yRow, x + uint64_t(r) * xRow + c, xRow, row0 + r, least(few, rows - r), col0 + c, least(wide, cols - c), stream);
    }

    __aicore__ inline void Block(__gm__ T* y, uint32_t yRow, __gm__ T* x, uint32_t xRow, uint32_t row0, uint32_t rows, uint32_t col0, uint32_t cols, uint64_t stream)
    {
        uint32_t n = rows * cols;
        GlobalTensor<T> from, to;
        from.SetGlobalBuffer(x), to.SetGlobalBuffer(y);
        LocalTensor<T> a = in_.template AllocTensor<T>();
        DataCopy(a, from, DataCopyParams(rows, cols / 16, (xRow - cols) / 16, 0));
        in_.EnQue(a);
        LocalTensor<int16_t> m = mask_.Make(row0, rows, col0, cols, stream); // while x comes in
        a = in_.template DeQue<T>();
        LocalTensor<uint16_t> bits = a.template ReinterpretCast<uint16_t>();
        LocalTensor<float> f = wide_.Get<float>();
        And(bits, bits, m.ReinterpretCast<uint16_t>(), n);
        PipeBarrier<PIPE_V>();
        Cast(f, a, RoundMode::CAST_NONE, n);
        PipeBarrier<PIPE_V>();
        in_.FreeTensor(a);
        Muls(f, f, scale_, n);
        PipeBarrier<PIPE_V>();
        LocalTensor<T> b = out_.template AllocTensor<T>();
        Cast(b, f, RoundMode::CAST_RINT, n);
        out_.EnQue(b);
        b = out_.template DeQue<T>();
        DataCopy(to, b, DataCopyParams(rows, cols / 16, 0, (yRow - cols) / 16));
        out_.FreeTensor(b);
    }

private:
    Mask mask_;
    TQue<TPosition::VECIN, 1> in_;
    TQue<TPosition::VECOUT, 1> out_;
    TBuf<TPosition::VECCALC> wide_;
    float scale_;
};
} // namespace lorac
